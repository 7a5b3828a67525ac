// A call's sound and its screen, two recordings of one group, play in step: after seeks, at other speeds, from either side.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { system } from './harness.mjs';
import { eventually, listener, seal } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

/** What a listener would notice. */
const IN_STEP_S = 0.1;
/** A seek has this long to find its place, and then this long to keep step for a whole second: a busy machine stutters. */
const SETTLE_MS = 1500;
const PATIENCE_MS = 10_000;

/** A call of 60 s and its screen of 50 s, which began 4 s later. */
async function call(t) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  const screen = path.join(place.dir, 'screen.webm');
  execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=320x180:rate=20:duration=50', '-f', 'lavfi', '-i', 'sine=frequency=300:duration=50',
    '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '40', '-b:v', '300k', '-c:a', 'libopus', screen]);
  await seal(place, 'call', wav({ seconds: 60, channels: [tone(0.5), tone(0.3)] }), { started_at: '2026-11-01T09:00:00Z', duration_s: 60, group: 'case-7' });
  await seal(place, 'screen', readFileSync(screen), { started_at: '2026-11-01T09:00:04Z', duration_s: 50, group: 'case-7', tags: ['screen'] }, 'video/webm');
  const { url } = await place.serve();
  return { url, place };
}

/** How far the follower is from where it should be, over a second of playing: the worst of many looks. */
function worst(page, offset) {
  return page.evaluate(async (later) => {
    const [clock, follower] = ['media', 'companion'].map((name) => document.querySelector(`[data-testid=${name}]`));
    let most = 0;
    const until = performance.now() + 1000;
    while (performance.now() < until) {
      await new Promise((done) => { setTimeout(done, 16); });
      most = Math.max(most, Math.abs(follower.currentTime - (clock.currentTime - later)));
    }
    return { most, moves: !clock.paused && !follower.paused && !follower.seeking };
  }, offset);
}

async function inStep(page, offset, when) {
  await page.waitForTimeout(SETTLE_MS);
  const until = Date.now() + PATIENCE_MS;
  let seen = await worst(page, offset);
  while (!(seen.moves && seen.most < IN_STEP_S) && Date.now() < until) seen = await worst(page, offset);
  const { most, moves } = seen;
  assert.ok(moves, `both play ${when}`);
  assert.ok(most < IN_STEP_S, `${Math.round(most * 1000)} ms apart ${when}`);
  return `${when}: ${Math.round(most * 1000)} ms`;
}

test('sound and screen stay within 100 ms, after seeks and at other speeds', async (t) => {
  const { url } = await call(t);
  const { page, at, goto, ready, until, media, shot } = await listener(t, url);
  await goto('#/recordings/call');
  await ready();
  await until('media.readyState >= 1', 'companion');
  assert.equal(await at('companion').evaluate((element) => element.localName), 'video');
  assert.deepEqual(await media(['muted'], 'companion'), { muted: true }, 'the call\'s own sound is heard, not the screen\'s');
  const seen = [];
  const seek = (seconds) => at('media').evaluate((element, to) => { element.currentTime = to; }, seconds);
  await seek(6);
  await at('play').click();
  seen.push(await inStep(page, 4, 'from the start'));
  for (const to of [30, 12.34, 37.1, 20]) {
    await seek(to);
    seen.push(await inStep(page, 4, `after a seek to ${to}`));
  }
  await shot('together');
  for (const speed of ['2', '0.75']) {
    await at('speed').selectOption(speed);
    seen.push(await inStep(page, 4, `at ${speed}×`));
  }
  t.diagnostic(seen.join(', '));
  // A pause stands both at the same moment; a seek while they stand moves both.
  await at('play').click();
  await seek(33);
  await until('media.paused && Math.abs(media.currentTime - 29) < 0.05', 'companion');
  // Pushed out of step, as by a stall, it comes back.
  await at('play').click();
  await page.waitForTimeout(500);
  await at('companion').evaluate((element) => { element.currentTime -= 2; });
  t.diagnostic(await inStep(page, 4, 'after a push of 2 s'));
});

test('where one has nothing to show, the other goes on and says so', async (t) => {
  const { url } = await call(t);
  const { page, at, goto, ready, until } = await listener(t, url);
  await goto('#/recordings/call');
  await ready();
  const says = (pattern) => eventually(async () => pattern.test(await at('companion-said').textContent()), String(pattern));
  await says(/screen covers another part of the call, from 0:04 on/);
  await at('play').click();
  await until('media.currentTime > 1.5');
  await until('media.paused', 'companion');
  await until('media.currentTime > 4.8');
  await until('!media.paused && media.currentTime > 0.5', 'companion');
  await says(/^In step: screen recording screen$/);
  await at('media').evaluate((element) => { element.currentTime = 55; });
  await says(/covers another part/);
  await until('media.currentTime > 55.5');
  assert.equal(await page.getByTestId('problem').count(), 0);
});

test('from the screen\'s side it is the same: the picture is the clock, the call is heard', async (t) => {
  const { url } = await call(t);
  const { page, at, goto, ready, until, media } = await listener(t, url);
  await goto('#/recordings/screen?t=10');
  await ready();
  await until('media.readyState >= 1', 'companion');
  assert.equal(await at('companion').evaluate((element) => element.localName), 'audio');
  assert.deepEqual([await media(['muted']), await media(['muted'], 'companion')], [{ muted: true }, { muted: false }]);
  await at('play').click();
  t.diagnostic(await inStep(page, -4, 'from 10 s'));
  await at('forward').click();
  t.diagnostic(await inStep(page, -4, 'after a skip'));
  await at('mute').click();
  assert.equal((await media(['muted'], 'companion')).muted, true);
});

test('a companion that cannot play is told, and the recording plays without it', async (t) => {
  const { url, place } = await call(t);
  await place.run(['keys', 'generate']);
  const { at, goto, ready, until, context } = await listener(t, url, { expected: (text) => text.includes('409') });
  await context.route('**/recordings/screen', async (route) => {
    const problem = { code: 'key-missing', title: 'The key is missing', status: 409 };
    return route.fulfill({ json: { ...await (await route.fetch()).json(), playable: false, problem } });
  });
  await goto('#/recordings/call');
  await ready();
  await eventually(async () => await at('companion-said').textContent() === 'screen cannot play along: The key is missing.', 'why it does not play along');
  await at('play').click();
  await until('media.currentTime > 0.5 && !media.muted');
});
