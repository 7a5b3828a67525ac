// Players that pages are built with, on recordings of an hour: they start, seek to the middle, to the end and back, and
// fetch no more than that takes. Each prints what it fetched; the manual's table is from there.

import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';

import { counting, mediaBytes } from './counting.mjs';
import { browse, packageFile, system } from './harness.mjs';
import { recordings } from './recordings.mjs';

/** Of a recording, at each step until it plays; one that reads its way to a place takes more. */
const SHARE = 0.25;
const NAMES = ['hour.mp3', 'hour.ogg', 'hour.m4a', 'hour.wav', 'front.mp4', 'back.mp4', 'film.webm'];

/** Each in words of one page: `window.player` has start(url), seek(seconds), now(), length(), and is playing or not. */
const PLAYERS = {
  'elements': { files: [], recordings: NAMES },
  'wavesurfer.js': { files: ['wavesurfer.js/dist/wavesurfer.min.js'], recordings: ['hour.mp3', 'hour.ogg'] },
  'video.js': { files: ['video.js/dist/video.min.js', 'video.js/dist/video-js.min.css'], recordings: ['hour.mp3', 'front.mp4', 'back.mp4', 'film.webm'] },
  'plyr': { files: ['plyr/dist/plyr.min.js', 'plyr/dist/plyr.css'], recordings: ['hour.m4a', 'back.mp4'] },
  'howler.js': { files: ['howler/dist/howler.min.js'], recordings: ['hour.mp3', 'hour.ogg'] },
};

test('players that pages are built with start, seek to the middle, to the end and back', async (t) => {
  const at = system(t);
  await at.run(['keys', 'generate']);
  const made = await recordings(at, NAMES);
  const { url } = await at.serve();
  const through = await counting(t, url);
  for (const [name, player] of Object.entries(PLAYERS)) {
    await t.test(name, async (t) => {
      const host = await page(t, name, player.files);
      const { context } = await browse(t, { hosts: [new URL(through.url).host] });
      for (const file of player.recordings) {
        const page = await context.newPage();
        await page.goto(`${host}/host.html?kind=${/mp4|webm/.test(file) ? 'video' : 'audio'}`);
        t.diagnostic(JSON.stringify({ player: name, recording: file, ...await seeks(page, await link(at, through.url, file), made[file], through) }));
        await page.close();
      }
    });
  }
});

/** Plays it from its start, its middle, its end and its first quarter; what each of them fetched. */
async function seeks(page, url, { length, seconds }, through) {
  through.take();
  await page.evaluate((url) => window.player.start(url), url);
  await playedFrom(page, 0);
  const told = { length, start: mediaBytes(through.take()) };
  assert.ok(Math.abs(await page.evaluate(() => window.player.length()) - seconds) < 2, 'it is as long as it is');
  for (const [place, to] of [['middle', seconds / 2], ['end', seconds - 8], ['back', seconds / 4]]) {
    await page.evaluate((to) => { window.player.seek(to); }, to);
    await playedFrom(page, to);
    told[place] = mediaBytes(through.take());
  }
  for (const place of ['start', 'middle', 'end', 'back']) {
    assert.ok(told[place] > 0 && told[place] < length * SHARE, `${url}: ${place} took ${told[place]} of ${length} bytes`);
  }
  return told;
}

/** Until it has played on from a place, and stands where that should be. */
async function playedFrom(page, seconds) {
  await page.waitForFunction((seconds) => window.player.now() > seconds + 0.3 && window.player.now() < seconds + 20, seconds)
    .catch(async (error) => {
      throw new Error(`not played from ${seconds} s: at ${await page.evaluate(() => window.player.now())} s`, { cause: error });
    });
}

async function link(at, server, id) {
  const { pathname, search } = new URL(JSON.parse(await at.run(['link', id, '--ttl', '1h', '--json'])).url);
  return server + pathname + search;
}

/** A page of another origin with one player, as its integrator would write it. */
async function page(t, name, files) {
  const served = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x');
    const file = files.find((it) => pathname === `/${path.basename(it)}`);
    if (file !== undefined) {
      response.writeHead(200, { 'Content-Type': file.endsWith('.css') ? 'text/css' : 'text/javascript' });
      return response.end(packageFile(file));
    }
    if (pathname !== '/host.html') return response.writeHead(404).end();
    const tags = files.map((it) => (it.endsWith('.css') ? `<link rel="stylesheet" href="/${path.basename(it)}">` : `<script src="/${path.basename(it)}"></script>`));
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
    const kind = searchParams.get('kind');
    return response.end(`<!doctype html><title>${name}</title><link rel="icon" href="data:,">${tags.join('')}
      <div id="place"><${kind} id="media" class="video-js" controls preload="metadata"></${kind}></div><script>${GLUE[name]}</script>`);
  });
  await new Promise((resolve) => { served.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    served.closeAllConnections();
    return new Promise((resolve) => { served.close(resolve); });
  });
  return `http://127.0.0.1:${served.address().port}`;
}

const OF_ELEMENT = 'seek: (to) => { media.currentTime = to; }, now: () => (media.seeking ? -1 : media.currentTime), length: () => media.duration';

const GLUE = {
  'elements': `const media = document.getElementById('media');
    window.player = { start: (url) => { media.src = url; return media.play(); }, ${OF_ELEMENT} };`,
  // With peaks, as for long recordings it is told to: without them it would fetch and decode the whole.
  'wavesurfer.js': `document.getElementById('media').remove();
    let wave;
    window.player = {
      start: (url) => new Promise((resolve, reject) => {
        wave = WaveSurfer.create({ container: '#place', url, peaks: [[0.2, 0.8, 0.4, 0.6]], duration: 3600 });
        wave.once('ready', () => wave.play().then(resolve, reject));
        wave.once('error', reject);
      }),
      seek: (to) => wave.setTime(to), now: () => (wave.getMediaElement().seeking ? -1 : wave.getCurrentTime()), length: () => wave.getDuration(),
    };`,
  'video.js': `const made = videojs('media');
    window.player = {
      start: (url) => new Promise((resolve, reject) => {
        made.one('error', () => reject(new Error(made.error().message)));
        made.one('loadedmetadata', () => made.play().then(resolve, reject));
        made.src({ src: url, type: document.getElementById('media').localName === 'audio' || made.isAudio() ? 'audio/mpeg' : url.includes('webm') ? 'video/webm' : 'video/mp4' });
      }),
      seek: (to) => { made.currentTime(to); }, now: () => (made.seeking() ? -1 : made.currentTime()), length: () => made.duration(),
    };`,
  'plyr': `const media = document.getElementById('media');
    const made = new Plyr(media, { iconUrl: 'data:image/svg+xml,', loadSprite: false, blankVideo: '' });
    window.player = {
      start: (url) => { media.src = url; return made.play(); },
      seek: (to) => { made.currentTime = to; }, now: () => (media.seeking ? -1 : made.currentTime), length: () => media.duration,
    };`,
  // html5: what it says is for long files; otherwise it fetches and decodes the whole.
  'howler.js': `let sound;
    window.player = {
      start: (url) => new Promise((resolve, reject) => {
        sound = new Howl({ src: [url], html5: true, format: [url.includes('.ogg') ? 'ogg' : 'mp3'] });
        sound.once('loaderror', (_, error) => reject(new Error(String(error))));
        sound.once('play', () => resolve());
        sound.play();
      }),
      seek: (to) => { sound.seek(to); }, now: () => (sound._sounds[0]._node.seeking ? -1 : sound.seek()), length: () => sound.duration(),
    };`,
};
