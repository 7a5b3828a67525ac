// What is being recorded is heard a moment later, in each format that can be fed as it comes: sought in meanwhile, over connections
// that break, and where the browser has no room or cannot be fed at all.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';

import { cuttingProxy } from './cutting.mjs';
import { eventually, listener } from './listener.mjs';
import { described, FORMATS, recorder } from './recorder.mjs';

/** The promise for 64 kbit/s: from the moment that a sound was recorded to the one at which it is heard. */
const DELAY_MAX_S = 3;

/** What a browser logs of connections that break, and of a wait for more in which nothing came. */
const expected = (text) => /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION|ERR_EMPTY_RESPONSE|409|416/.test(text);

/** A recording that has run for some seconds, and a listener who has it open and plays it from its start. */
async function joined(t, format, { seconds = 6, through = async (url) => ({ url }), instead = null, prepare = async () => {} } = {}) {
  const { url, place, begin } = await recorder(t, format);
  const recording = begin('call', { instead });
  await eventually(async () => (instead !== null || recording.seconds() > seconds) && (await described(url, 'call')).media_len > 0, 'some seconds are recorded', 60_000);
  const proxy = await through(url);
  const opened = await listener(t, proxy.url, { expected });
  await prepare(opened.page);
  await opened.goto('#/recordings/call');
  await opened.ready();
  await opened.at('play').click();
  await opened.until('media.currentTime > 0.3');
  const isFed = () => opened.at('media').evaluate((media) => media.src.startsWith('blob:'));
  return { ...opened, url, place, proxy, recording, isFed };
}

/**
 * Goes to what is being recorded now, and gives the time from a sound to its being heard: the usual (median) and the longest of
 * some looks over some seconds. What a machine that does much else adds to one of them says nothing of the player.
 */
async function delayOf({ at, until, recording, media }, seconds = 6) {
  await at('to-live').click();
  await eventually(async () => !(await at('to-live').isVisible()), 'it is not behind any more');
  const { currentTime } = await media(['currentTime']);
  await until(`media.currentTime > ${currentTime} + 0.5`);
  const delays = [];
  for (const until = recording.seconds() + seconds; recording.seconds() < until;) {
    const before = recording.seconds();
    const heard = (await media(['currentTime'])).currentTime;
    delays.push(before - heard);
    await new Promise((done) => { setTimeout(done, 100); });
  }
  delays.sort((one, other) => one - other);
  return { usual: delays[Math.floor(delays.length / 2)], longest: delays.at(-1), looks: delays.length };
}

for (const [name, format] of Object.entries(FORMATS).filter(([key]) => ['opus', 'mp3', 'aac', 'mp4'].includes(key))) {
  test(`${name}: a sound is heard soon after it was recorded, sought back in meanwhile, and followed to the end`, async (t) => {
    const here = await joined(t, format);
    const { at, until, media, recording, isFed, shot, page, url } = here;
    assert.ok(await isFed(), 'it is fed as it comes');
    const { usual, longest, looks } = await delayOf(here);
    const said = `heard ${usual.toFixed(2)} s after it was recorded, at most ${longest.toFixed(2)} s, in ${looks} looks`;
    t.diagnostic(`${name}: ${said}`);
    assert.ok(looks >= 10 && usual > 0 && usual <= DELAY_MAX_S, said);
    assert.deepEqual(await media(['duration', 'paused']), { duration: Infinity, paused: false });
    await shot(`following-${name}`);
    // Back to what was heard, and on.
    await at('timeline').focus();
    await page.keyboard.press('Home');
    await until('!media.seeking && media.currentTime > 0.3 && media.currentTime < 4');
    // To the end, and its end.
    await at('to-live').click();
    await eventually(async () => !(await at('to-live').isVisible()), 'it is not behind any more');
    const before = (await media(['currentTime'])).currentTime;
    assert.equal(await recording.stop(), 201);
    await eventually(async () => await at('live').count() === 0 && !(await isFed()), 'it goes on as a complete one');
    await until(`media.readyState >= 2 && !media.seeking && media.currentTime >= ${before}`);
    assert.equal((await described(url, 'call')).state, 'complete');
    assert.equal(await at('problem').count(), 0);
  });
}

test('a connection that is cut goes on from the byte that it reached, unheard', async (t) => {
  const here = await joined(t, FORMATS.opus, { through: (url) => cuttingProxy(t, url) });
  const { proxy, until, media, at, isFed } = here;
  const taken = await at('media').evaluateHandle((element) => element);
  // What follows is one answer: it is broken in what comes next, the first two times before anything has come.
  proxy.cut(2, 1);
  proxy.breakOff();
  await eventually(() => proxy.asked.filter(({ cut }) => cut).length === 2, 'it was cut');
  const { usual } = await delayOf(here);
  assert.ok(usual <= DELAY_MAX_S + 1, `${usual} s`);
  assert.ok(await isFed() && await taken.evaluate((element) => element.isConnected), 'the same element goes on');
  const later = proxy.asked.slice(1).map(({ range, status }) => [/^bytes=[1-9]\d*-9007199254740991$/.test(range), status]);
  assert.deepEqual([...new Set(later.map(String))], ['true,206'], 'each from where the one before had come');
  const { currentTime } = await media(['currentTime']);
  await until(`media.currentTime > ${currentTime} + 1`);
  assert.equal(await at('problem').count(), 0);
});

for (const name of ['opus', 'mp3']) {
  test(`${name}: of a long one the end is not reached through all that was, and any place is fetched again`, async (t) => {
    // A quarter of an hour that is there at once.
    const tone = 'sine=frequency=440:sample_rate=8000:duration=900';
    const quick = name === 'opus' ? ['-compression_level', '0'] : [];
    const instead = execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', tone, ...quick, ...FORMATS[name].format, '-'], { maxBuffer: 1 << 26 });
    const { at, until, proxy, page, isFed, media } = await joined(t, FORMATS[name], { instead, through: (url) => cuttingProxy(t, url) });
    const starts = () => proxy.asked.map(({ range }) => Number(/\d+/.exec(range)[0]));
    await at('to-live').click();
    await until('!media.seeking && media.currentTime > 890');
    assert.ok(starts().some((byte) => byte > instead.length * 0.9), `it jumps: ${starts()}`);
    await until('media.currentTime > 893');
    // The middle was never read.
    await at('timeline').focus();
    // Further on there is nothing yet.
    await page.keyboard.press('PageUp');
    await until('!media.seeking && media.currentTime > 893 && media.currentTime <= 900.1');
    for (let step = 0; step < 5; step += 1) await page.keyboard.press('PageDown');
    const wanted = (await media(['currentTime'])).currentTime;
    await until(`!media.seeking && media.currentTime > ${wanted} + 1 && media.currentTime < ${wanted} + 10`);
    await page.keyboard.press('Home');
    await until('!media.seeking && media.currentTime > 0.5 && media.currentTime < 5');
    assert.ok(await isFed());
  });
}

test('a browser that has no room lets go of what was heard, and fetches it again where it is sought', async (t) => {
  const refuse = () => {
    const append = SourceBuffer.prototype.appendBuffer;
    globalThis.removed = [];
    SourceBuffer.prototype.appendBuffer = function full(bytes) {
      if (globalThis.isFull) {
        globalThis.isFull = false;
        throw new DOMException('full', 'QuotaExceededError');
      }
      return append.call(this, bytes);
    };
    const remove = SourceBuffer.prototype.remove;
    SourceBuffer.prototype.remove = function noted(from, to) {
      globalThis.removed.push([from, to]);
      return remove.call(this, from, to);
    };
  };
  const { at, until, page, isFed } = await joined(t, FORMATS.opus, { seconds: 36, prepare: (opened) => opened.addInitScript(refuse) });
  await at('to-live').click();
  await until('!media.seeking && media.currentTime > 34');
  await page.evaluate(() => { globalThis.isFull = true; });
  await page.waitForFunction(() => globalThis.removed.length === 1);
  await until('media.buffered.start(0) > 1');
  await at('timeline').focus();
  await page.keyboard.press('Home');
  await until('!media.seeking && media.currentTime > 0.3 && media.currentTime < 4');
  assert.ok(await isFed());
});

test('what cannot be fed is played by the element itself', async (t) => {
  const { isFed } = await joined(t, FORMATS.wav);
  assert.equal(await isFed(), false);
});

test('where feeding fails midway, the element goes on by itself from the place', async (t) => {
  const breakable = () => {
    const append = SourceBuffer.prototype.appendBuffer;
    SourceBuffer.prototype.appendBuffer = function broken(bytes) {
      return append.call(this, globalThis.isBroken ? new Uint8Array(4096).fill(0x7f) : bytes);
    };
  };
  const { until, page, isFed, at } = await joined(t, FORMATS.mp4, { prepare: (opened) => opened.addInitScript(breakable) });
  await until('media.currentTime > 2');
  await page.evaluate(() => { globalThis.isBroken = true; });
  await eventually(async () => !(await isFed()), 'the element fetches itself');
  await until('!media.paused && media.currentTime > 2.5');
  assert.equal(await at('problem').count(), 0);
});

test('a key that is taken out of use while it is followed is told', async (t) => {
  const { at, place, page } = await joined(t, FORMATS.opus);
  const [{ fingerprint }] = JSON.parse(await place.run(['keys', 'list', '--json']));
  await place.run(['keys', 'deactivate', fingerprint, '--force']);
  await at('problem').waitFor();
  assert.equal(await at('problem-code').textContent(), 'key-deactivated');
  await place.run(['keys', 'activate', fingerprint]);
  await eventually(async () => {
    if (await at('retry').count() > 0) await at('retry').click({ timeout: 1000 }).catch(() => {});
    return await at('media').count() > 0;
  }, 'it plays again');
  await page.goto('about:blank');
});
