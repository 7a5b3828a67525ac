// Listening: the waveform, seeking on it, speed, silence that is skipped, a loop, a link to a moment.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { ROOT, system } from './harness.mjs';
import { eventually, listener, seal } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

/** Forty seconds: the agent (left) speaks in the first and last ten, the caller (right) softly in the second ten, then nobody for ten. */
const CALL = wav({
  seconds: 40,
  channels: [tone(0.5, (at) => at < 10 || at >= 30), tone(0.25, (at) => at >= 10 && at < 20)],
});

async function opened(t, { hash = '#/recordings/call', ...options } = {}) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', CALL, { started_at: '2026-11-01T09:00:00Z', duration_s: 40 });
  await seal(place, 'other', wav({ seconds: 5, channels: [tone(0.5)] }), { started_at: '2026-11-01T08:00:00Z', duration_s: 5 });
  const { url } = await place.serve();
  const person = await listener(t, url, options);
  await person.goto(hash);
  await person.ready();
  return { ...person, url, place };
}

/** Where the drawn sound of a lane reaches, as shares of its half: `[up, down]` at a share of the width. */
function drawn(page, lane, share) {
  return page.getByTestId('timeline').locator('canvas').evaluate((canvas, [which, at]) => {
    const height = canvas.height / 2;
    const column = canvas.getContext('2d').getImageData(Math.floor(at * canvas.width), Math.round(which * height) + 2, 1, Math.floor(height) - 3).data;
    const inked = [];
    for (let y = 0; y * 4 < column.length; y += 1) if (column[y * 4 + 3] > 128) inked.push(y + 2);
    return [(height / 2 - inked[0]) / (height / 2), (inked.at(-1) + 1 - height / 2) / (height / 2)];
  }, [lane, share]);
}

test('the waveform shows both channels as they sound', async (t) => {
  // That this test reads the canvas is nothing that the page does.
  const { page, at, shot, ready } = await opened(t, { expected: (text) => text.includes('willReadFrequently') });
  await eventually(async () => await at('timeline').getAttribute('data-channels') === '2', 'two channels');
  const expected = [[0.5, 0, 0, 0.5], [0, 0.25, 0, 0]];
  for (const [lane, strengths] of expected.entries()) {
    for (const [quarter, strength] of strengths.entries()) {
      for (const reach of await drawn(page, lane, (quarter + 0.5) / 4)) {
        assert.ok(Math.abs(reach - strength) < 0.08, `lane ${lane}, quarter ${quarter}: drawn to ${reach}, sounds ${strength}`);
      }
    }
  }
  // What was played has another colour than what comes.
  const colour = (share) => page.getByTestId('timeline').locator('canvas').evaluate((canvas, where) =>
    [...canvas.getContext('2d').getImageData(Math.floor(where * canvas.width), Math.round(canvas.height / 4), 1, 1).data].join(), share);
  assert.equal(await colour(0.1), await colour(0.9));
  await at('forward').click();
  await eventually(async () => await colour(0.1) !== await colour(0.9), 'the played part is marked');
  await shot('waveform');
  // How much of the width is loaded: all of so short a recording, once it was played.
  await at('play').click();
  await page.waitForFunction(() => {
    const { width } = document.querySelector('.timeline-loaded').getBoundingClientRect();
    const parts = [...document.querySelectorAll('.timeline-loaded span')];
    return parts.reduce((sum, part) => sum + part.getBoundingClientRect().width, 0) > width * 0.9;
  });
  // Another recording has a waveform of its own.
  await page.locator('[data-id="other"]').click();
  await ready();
  await eventually(async () => await at('timeline').getAttribute('data-channels') === '1', 'one channel');
});

test('a waveform that is still awaited is given up with its recording', async (t) => {
  const { page, url, at, ready } = await opened(t, { hash: '#/recordings/other' });
  const given = [];
  page.on('requestfailed', (request) => { if (request.url().includes('/call/waveform')) given.push(request.failure().errorText); });
  let asked = 0;
  await page.route('**/recordings/call/waveform*', () => { asked += 1; });
  await page.goto(`${url}/#/recordings/call`);
  await eventually(() => asked === 1, 'the waveform is asked for');
  await ready();
  assert.ok(await at('skip-silence').isDisabled(), 'without a waveform nothing is known of silence');
  await page.goto(`${url}/#/recordings/other`);
  await eventually(() => given.length === 1, 'the request is aborted');
  assert.deepEqual(given, ['net::ERR_ABORTED']);
});

test('a format whose sound the server does not decode has a plain timeline, which seeks', async (t) => {
  const { place, page, at, goto, ready, until } = await opened(t);
  await seal(place, 'opus', readFileSync(path.join(ROOT, 'player-demo/samples/call-triage-opus.ogg')), {}, 'audio/ogg; codecs=opus');
  await goto('#/recordings/opus');
  await ready();
  assert.equal(await at('timeline').getAttribute('data-channels'), '0');
  const { width, height } = await at('timeline').boundingBox();
  assert.ok(height < 60, 'no room is kept for what is not there');
  await at('timeline').click({ position: { x: width / 2, y: height / 2 } });
  await until('Math.abs(media.currentTime - media.duration / 2) < 0.2');
  await at('play').click();
  await until('media.currentTime > media.duration / 2 + 0.3');
  assert.ok(await page.getByTestId('skip-silence').isDisabled());
});

test('a click and a drag on the waveform seek, and it plays on from there', async (t) => {
  const { page, at, until, clockSays } = await opened(t);
  const box = await at('timeline').boundingBox();
  const x = (seconds) => box.x + (seconds / 40) * box.width;
  const y = box.y + box.height / 2;
  await page.mouse.click(x(30), y);
  await until('Math.abs(media.currentTime - 30) < 0.1');
  await clockSays(/^0:(29|30) \/ 0:40$/);
  await at('play').click();
  await until('media.currentTime > 30.5');
  await page.mouse.move(x(31), y);
  await page.mouse.down();
  await page.mouse.move(x(20), y, { steps: 5 });
  await page.mouse.move(x(5), y, { steps: 5 });
  assert.equal(await page.locator('.timeline-hover').textContent(), '0:05');
  await page.mouse.up();
  await until('!media.seeking && media.currentTime > 5.2 && media.currentTime < 8');
  const playhead = await at('playhead').boundingBox();
  const now = await at('media').evaluate((media) => media.currentTime);
  assert.ok(Math.abs(playhead.x + playhead.width / 2 - x(now)) < 6, 'the playhead stands where it plays');
});

test('speed goes from 0.5 to 3, keeps the pitch, and stays for the next recording', async (t) => {
  const { page, at, ready, media, until } = await opened(t);
  const speeds = await at('speed').locator('option').evaluateAll((options) => options.map((option) => Number(option.value)));
  assert.equal(Math.min(...speeds), 0.5);
  assert.equal(Math.max(...speeds), 3);
  for (const speed of [0.5, 3]) {
    await at('speed').selectOption(String(speed));
    await page.getByTestId('play').click();
    await until('!media.paused && media.currentTime > 0.3');
    // What was played over a stretch of real time, by the page's own clock.
    const rate = await at('media').evaluate(async (element) => {
      const [began, from] = [performance.now(), element.currentTime];
      await new Promise((done) => { setTimeout(done, 1500); });
      return (element.currentTime - from) / ((performance.now() - began) / 1000);
    });
    assert.ok(Math.abs(rate - speed) < 0.2 * speed, `${speed} plays at ${rate}`);
    assert.deepEqual(await media(['preservesPitch', 'playbackRate']), { preservesPitch: true, playbackRate: speed });
    await page.getByTestId('play').click();
  }
  await page.locator('[data-id="other"]').click();
  await ready();
  await until("media.getAttribute('aria-label').includes('other')");
  assert.equal((await media(['playbackRate'])).playbackRate, 3);
  assert.equal(await at('speed').inputValue(), '3');
});

test('silence is skipped, no speech with it, and it is said how much', async (t) => {
  const { page, at, until } = await opened(t);
  await eventually(async () => await at('skip-silence').isEnabled(), 'the waveform tells where it is silent');
  await at('skip-silence').check();
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 19; });
  await at('play').click();
  const begun = Date.now();
  await until('media.currentTime >= 29.5');
  const took = (Date.now() - begun) / 1000;
  assert.ok(took < 6, `ten seconds of silence were passed in ${took} s`);
  // The silence lies from 20 to 30: a little is left on both sides, and speech begins unhurt.
  await until('media.currentTime > 30.5');
  assert.match(await at('skipped').textContent(), /^0:09 skipped$/);
  // One channel alone is not silence: the caller speaks while the agent is quiet.
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 9.5; });
  await until('!media.seeking && media.currentTime > 11');
  assert.match(await at('skipped').textContent(), /^0:09 skipped$/, 'nothing was skipped where one speaks');
  // Taken out, silence is played.
  await at('skip-silence').uncheck();
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 24; });
  await until('!media.seeking && media.currentTime > 24.5 && media.currentTime < 26');
});

test('a part is looped: by drag, by buttons, by keys; and let go', async (t) => {
  const { page, at, until } = await opened(t);
  const box = await at('timeline').boundingBox();
  const x = (seconds) => box.x + (seconds / 40) * box.width;
  const y = box.y + box.height / 2;
  await page.keyboard.down('Shift');
  await page.mouse.move(x(10), y);
  await page.mouse.down();
  await page.mouse.move(x(12.1), y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  assert.equal(await at('loop-said').textContent(), '0:10 – 0:12');
  const mark = await at('loop-mark').boundingBox();
  assert.ok(Math.abs(mark.x - x(10)) < 3 && Math.abs(mark.width - (x(12.1) - x(10))) < 4, 'the loop is marked where it is');
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 11; });
  await at('play').click();
  await goesRound(at, 10, 12.1);

  await at('loop-off').click();
  await until('media.currentTime > 12.3');
  await at('play').click();
  const go = async (seconds) => {
    await page.evaluate((to) => { document.querySelector('[data-testid=media]').currentTime = to; }, seconds);
    await until(`!media.seeking && Math.abs(media.currentTime - ${seconds}) < 0.05`);
  };
  await go(20);
  await at('loop-a').click();
  await go(21.5);
  await at('loop-b').click();
  assert.equal(await at('loop-said').textContent(), '0:20 – 0:21');
  await at('play').click();
  await goesRound(at, 20, 21.5);

  // Keys alone: A and B, then wider on the timeline; X lets go. A loop up to the end of the recording goes round too.
  await page.keyboard.press('x');
  assert.equal(await at('loop-mark').isVisible(), false);
  await at('play').click();
  await go(38.5);
  await page.keyboard.press('a');
  await at('timeline').focus();
  for (let press = 0; press < 3; press += 1) await page.keyboard.press('Shift+ArrowRight');
  assert.equal(await at('loop-said').textContent(), '0:38 – 0:40');
  await page.keyboard.press('Space');
  await goesRound(at, 38.5, 40);
});

/** It plays over the end of the loop back to its beginning, twice, and never outside. */
async function goesRound(at, from, to) {
  const seen = await at('media').evaluate(async (media, [begin, end]) => {
    const outside = [];
    let rounds = 0;
    let before = media.currentTime;
    const until = performance.now() + 12_000;
    while (rounds < 2 && performance.now() < until) {
      await new Promise((done) => { setTimeout(done, 20); });
      const now = media.currentTime;
      if (now < before - 0.5) rounds += 1;
      if (now < begin - 0.1 || now > end + 0.3) outside.push(now);
      before = now;
    }
    return { rounds, outside };
  }, [from, to]);
  assert.deepEqual(seen, { rounds: 2, outside: [] });
}

test('a link to a moment opens that moment', async (t) => {
  const { page, at, ready, until, context, url } = await opened(t, { hash: '#/recordings/call?t=23', permissions: ['clipboard-read', 'clipboard-write'] });
  await until('media.currentTime === 23');
  await at('copy-to-this-moment').click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(link, `${url}/#/recordings/call?t=23`);
  const next = await context.newPage();
  await next.goto(link);
  await next.waitForFunction(() => document.querySelector('[data-testid=media]')?.currentTime === 23);
  await ready();
});
