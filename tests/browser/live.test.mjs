// A recording in progress shows as such, plays and follows, and turns into a complete one without losing the place.

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually, listener } from './listener.mjs';
import { described, FORMATS, recorder } from './recorder.mjs';

test('a recording in progress shows as such, grows, follows, and becomes complete in its place', async (t) => {
  const { url, begin } = await recorder(t);
  const { page, at, goto, ids, until, media, shot } = await listener(t, url);
  await goto();
  await page.getByText('There are no recordings yet').waitFor();
  const { stop } = begin('call');
  await eventually(async () => (await described(url, 'call')).media_len > 0, 'something is written');
  // An open list finds it by itself.
  await eventually(async () => (await ids()).join() === 'call', 'the recording in progress is listed', 60_000);
  assert.match(await at('row').textContent(), /recording/);
  await at('row').click();
  await at('live').waitFor();
  assert.match(await at('note').textContent(), /still being made/);
  const length = () => page.locator('[data-testid=facts] div', { hasText: 'Length' }).locator('dd').textContent();
  const [first, began] = [await length(), await at('live-time').textContent()];
  await at('play').click();
  await until('media.currentTime > 2');
  assert.deepEqual(await media(['duration']), { duration: Infinity });
  assert.match(await at('time').textContent(), /^\d:\d\d \/ still recording$/);
  await eventually(async () => await length() !== first, 'the length grows');
  assert.notEqual(await at('live-time').textContent(), began, 'the time grows');
  await shot('live');
  // The end: the same place, by and by, now with a length; the list says so as well.
  const before = (await media(['currentTime'])).currentTime;
  assert.equal(await stop(), 201);
  await eventually(async () => await at('live').count() === 0, 'it is complete');
  await until('media.readyState >= 2 && !media.seeking');
  const after = (await media(['currentTime', 'paused', 'ended']));
  assert.ok(after.currentTime >= before && (!after.paused || after.ended), `it goes on from its place: ${before}, then ${after.currentTime}`);
  assert.equal(await at('note').count(), 0);
  await eventually(async () => !/recording/.test(await at('row').textContent()), 'the row is one of a complete recording');
  // Its length is known once it was read to its end.
  await at('speed').selectOption('3');
  await eventually(async () => (await media(['ended'])).ended, 'it plays to its end', 60_000);
  assert.match(await at('time').textContent(), /^(\d:\d\d) \/ \1$/);
});

test('from the start to what is being recorded now, and back', async (t) => {
  const { url, begin } = await recorder(t, FORMATS.mp3);
  begin('call');
  await eventually(async () => (await described(url, 'call')).state === 'recording', 'it is being recorded');
  await new Promise((done) => { setTimeout(done, 10_000); });
  const { at, goto, ready, until, page } = await listener(t, url);
  await goto('#/recordings/call');
  await ready();
  await at('play').click();
  await until('media.currentTime > 0.5 && media.currentTime < 3');
  await at('to-live').click();
  await until('!media.seeking && media.currentTime > 7');
  await eventually(async () => !(await at('to-live').isVisible()), 'it is not behind any more');
  const now = await at('media').evaluate((element) => element.currentTime);
  await until(`media.currentTime > ${now} + 2`);
  await at('timeline').focus();
  await page.keyboard.press('Home');
  await until('!media.seeking && media.currentTime < 2');
  await until('media.currentTime > 1');
  await page.goto('about:blank');
});

test('a recorder that dies leaves what it wrote, and the page says that it ends early', async (t) => {
  const { url, begin } = await recorder(t);
  const { die } = begin('call');
  await eventually(async () => (await described(url, 'call')).media_len > 40_000, 'some seconds are written', 30_000);
  // A stream that ends without an end is how the server says that its writer died: the browser logs that.
  const expected = (text) => text.includes('ERR_INCOMPLETE_CHUNKED_ENCODING') || text.includes('416');
  const { at, page, goto, ready, until } = await listener(t, url, { expected });
  await goto('#/recordings/call');
  await ready();
  await at('play').click();
  await until('media.currentTime > 1');
  die();
  await page.getByText('ends early').waitFor();
  assert.match(await page.locator('.detail-head').textContent(), /unfinished/);
  await until('media.currentTime > 1.5');
});
