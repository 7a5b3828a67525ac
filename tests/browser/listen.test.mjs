// Listening: the waveform, seeking on it, a link to a moment. Speed, silence and loops are in pace.test.mjs.

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
  const now = await at('media').evaluate((media) => {
    media.pause();
    return media.currentTime;
  });
  await eventually(async () => {
    const playhead = await at('playhead').boundingBox();
    return Math.abs(playhead.x + playhead.width / 2 - x(now)) < 6;
  }, 'the playhead stands where it plays');
});

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
