// Programs on the desk and in scripts, on recordings of an hour: mpv, VLC, GStreamer and ffmpeg start, seek to the middle,
// to the end and back; curl and wget go on with what they had. What each fetched is counted and printed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { counting, mediaBytes } from './counting.mjs';
import { system } from './harness.mjs';
import { gstreamer, mpv, until, vlc } from './programs.mjs';
import { recordings } from './recordings.mjs';

/** Of a recording, at each step until it plays. */
const SHARE = 0.25;
const NAMES = ['hour.mp3', 'hour.wav', 'back.mp4', 'film.webm'];

test('programs start, seek to the middle, to the end and back', async (t) => {
  const at = system(t);
  await at.run(['keys', 'generate']);
  const made = await recordings(at, NAMES);
  const { url } = await at.serve();
  const through = await counting(t, url);
  const media = (name) => `${through.url}/recordings/${name}/media`;

  for (const [name, open] of Object.entries({ mpv, vlc, gstreamer })) {
    await t.test(name, async (t) => {
      for (const file of NAMES) {
        const { length, seconds } = made[file];
        through.take();
        const player = await open(t, at.dir, media(file));
        const told = { length };
        for (const [place, to] of [['start', 0], ['middle', seconds / 2], ['end', seconds - 8], ['back', seconds / 4]]) {
          if (place !== 'start') await player.seek(to);
          await playsFrom(player, to, `${name} ${file}`);
          told[place] = mediaBytes(through.take());
        }
        const known = await player.length();
        assert.ok(Math.abs(known - seconds) < 2, `${name} takes ${file} to be ${known} s long`);
        t.diagnostic(JSON.stringify({ player: name, recording: file, ...told }));
        bounded(`${name} ${file}`, told);
        await player.stop();
      }
    });
  }

  await t.test('ffmpeg', async (t) => {
    for (const file of NAMES) {
      const { file: local, length, seconds } = made[file];
      const told = { length };
      for (const [place, to] of [['start', 0], ['middle', seconds / 2], ['end', seconds - 8], ['back', seconds / 4]]) {
        through.take();
        const played = await decoded(media(file), to);
        told[place] = mediaBytes(through.take());
        assert.ok(played.length > 0 && played.equals(await decoded(local, to)), `${file} from ${to} s is not what is in the file`);
      }
      t.diagnostic(JSON.stringify({ player: 'ffmpeg', recording: file, ...told }));
      bounded(`ffmpeg ${file}`, told);
    }
  });

  await t.test('curl and wget go on, and fetch only what they lack', async (t) => {
    const whole = readFileSync(made['hour.wav'].file);
    const had = Math.floor(whole.length * 0.9);
    for (const [name, args] of [['curl', ['-sS', '-q', '-C', '-', '-o']], ['wget', ['--no-config', '--no-proxy', '-q', '-c', '-O']]]) {
      const part = path.join(at.dir, `${name}.wav`);
      writeFileSync(part, whole.subarray(0, had));
      through.take();
      await ran(name, [...args, part, media('hour.wav')]);
      assert.ok(readFileSync(part).equals(whole), name);
      const fetched = mediaBytes(through.take());
      assert.equal(fetched, whole.length - had, name);
      t.diagnostic(JSON.stringify({ player: name, recording: 'hour.wav', length: whole.length, resume: fetched }));
    }
  });
});

/** Until it stands near a place and has gone on from there. VLC tells whole seconds; key frames lie four seconds apart. */
async function playsFrom(player, seconds, who) {
  let first = null;
  await until(`${who} plays from ${seconds} s`, async () => {
    const now = await player.now();
    const isThere = now >= 0 && now >= seconds - 5 && now < seconds + 20;
    if (!isThere) first = null;
    else first ??= now;
    return first !== null && now >= first + (Number.isInteger(now) ? 1 : 0.4);
  }).catch(async (error) => {
    throw new Error(`at ${await player.now()} s`, { cause: error });
  });
}

/** A seek reads what is there, and not its way to it. */
function bounded(who, told) {
  for (const place of ['start', 'middle', 'end', 'back']) {
    // A program may hold the last of a short way back.
    assert.ok(told[place] > 0 || place === 'back', `${who}: ${place} took nothing`);
    assert.ok(told[place] < told.length * SHARE, `${who}: ${place} took ${told[place]} of ${told.length} bytes`);
  }
}

/** A second of sound, or of pictures, from a place. */
function decoded(input, seconds) {
  const what = /webm/.test(input) ? ['-an', '-f', 'rawvideo', '-pix_fmt', 'gray'] : ['-vn', '-f', 's16le', '-ac', '1'];
  const isMp3 = /mp3/.test(input) ? ['-fflags', '+fastseek'] : [];
  return ran('ffmpeg', ['-v', 'error', '-nostdin', ...isMp3, '-ss', String(seconds), '-i', input, '-t', '1', ...what, '-']);
}

/** Runs a program to its end; what it wrote. */
function ran(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
    const [out, err] = [[], []];
    child.stdout.on('data', (part) => out.push(part));
    child.stderr.on('data', (part) => err.push(part));
    child.on('error', (error) => reject(new Error(`${program}: ${error.message}; on Debian: apt-get install ${program}`)));
    child.on('close', (code) => (code === 0 ? resolve(Buffer.concat(out)) : reject(new Error(`${program}: ${code}: ${Buffer.concat(err)}`))));
  });
}
