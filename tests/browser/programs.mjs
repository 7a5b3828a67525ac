// Programs that people play recordings with, without a screen or a loudspeaker: mpv, VLC, GStreamer. Each is driven by the
// interface that it has for that, and all look the same here: `{ now(), length(), seek(seconds), stop() }`.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PATIENCE_MS = 20_000;
const PACKAGES = { mpv: 'mpv', vlc: 'vlc-bin vlc-plugin-base', 'gst-launch-1.0': 'gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-libav python3-gi gir1.2-gstreamer-1.0' };

/** By itself libavformat reads an MP3 up to the place, to be exact to the frame. Other formats have an index. */
const SEEK_MP3 = ['--demuxer-lavf-o=fflags=+fastseek'];

/** mpv, by its socket for JSON. */
export async function mpv(t, folder, url) {
  const socket = path.join(folder, `mpv-${Date.now()}`);
  const child = start(t, 'mpv', ['--no-config', '--ytdl=no', '--ao=null', '--vo=null', '--really-quiet', ...SEEK_MP3, `--input-ipc-server=${socket}`, url]);
  const talk = await until('mpv listens', () => (existsSync(socket) ? connected(socket) : null));
  t.after(() => talk.destroy());
  const answers = lines(talk);
  const ask = async (...command) => {
    talk.write(`${JSON.stringify({ command, request_id: 1 })}\n`);
    for (;;) {
      const answer = JSON.parse(await answers());
      // Events come in between.
      if (answer.request_id === 1 && answer.error !== undefined) return answer.error === 'success' ? answer.data ?? 0 : -1;
    }
  };
  return {
    now: () => ask('get_property', 'time-pos'), length: () => ask('get_property', 'duration'),
    seek: (seconds) => ask('seek', seconds, 'absolute'), stop: () => ended(child),
  };
}

/** VLC, by its remote control on standard input. It refuses to run for root. */
export async function vlc(t, folder, url) {
  const home = path.join(folder, 'vlc');
  mkdirSync(home, { recursive: true });
  chmodSync(folder, 0o755);
  chmodSync(home, 0o777);
  const args = ['-I', 'oldrc', '--rc-fake-tty', '--no-color', '--aout', 'adummy', '--vout', 'vdummy', '--no-video-title-show', '--play-and-stop', url];
  const ordinary = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'vlc'] : ['vlc'];
  const child = start(t, ...split([...ordinary, ...args]), { env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: home } }, 'vlc');
  const answers = lines(child.stdout);
  const number = async (command) => {
    child.stdin.write(`${command}\n`);
    for (;;) {
      const [, digits] = /^(?:> )*(\d+)\s*$/.exec(await answers()) ?? [];
      if (digits !== undefined) return Number(digits);
    }
  };
  return {
    // In whole seconds; it says nothing before it plays.
    now: () => number('get_time'), length: () => number('get_length'),
    seek: async (seconds) => { child.stdin.write(`seek ${Math.floor(seconds)}\n`); }, stop: () => ended(child),
  };
}

/** GStreamer's playbin over `souphttpsrc`. */
export async function gstreamer(t, folder, url) {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'gst_play.py');
  const child = start(t, '/usr/bin/python3', [script, url], {}, 'gst-launch-1.0');
  const answers = lines(child.stdout);
  const ask = (command) => {
    child.stdin.write(`${command}\n`);
    return answers();
  };
  if (await answers() !== 'playing') throw new Error('GStreamer does not play');
  return {
    now: async () => Number(await ask('now')), length: async () => Number(await ask('length')),
    seek: (seconds) => ask(`seek ${seconds}`), stop: () => ended(child),
  };
}

/** Asks until there is an answer. */
export async function until(what, ask) {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask();
    if (found !== null && found !== false) return found;
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

function start(t, program, args, options = {}, needs = program) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
  child.said = '';
  child.on('error', () => { child.said = `${needs} is missing: apt-get install ${PACKAGES[needs]}`; });
  child.stderr.on('data', (part) => { child.said = (child.said + part).slice(-4000); });
  child.stdin.on('error', () => {});
  t.after(() => ended(child));
  return child;
}

function split([program, ...args]) {
  return [program, args];
}

function connected(place) {
  return new Promise((resolve) => {
    const socket = net.connect(place, () => resolve(socket));
    socket.on('error', () => resolve(null));
  });
}

/** One line after the other; fails when there are no more, or none comes. */
function lines(stream) {
  const [had, waiting] = [[], []];
  let isOver = false;
  const reader = createInterface({ input: stream });
  reader.on('line', (line) => (waiting.length > 0 ? waiting.shift().resolve(line) : had.push(line)));
  reader.on('close', () => {
    isOver = true;
    for (const { reject } of waiting.splice(0)) reject(new Error('the program ended'));
  });
  return () => {
    if (had.length > 0) return Promise.resolve(had.shift());
    if (isOver) return Promise.reject(new Error('the program ended'));
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => reject(new Error(`the program said nothing for ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
      const done = (act) => (value) => {
        clearTimeout(patience);
        act(value);
      };
      waiting.push({ resolve: done(resolve), reject: done(reject) });
    });
  };
}

function ended(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill('SIGKILL');
  });
}
