// Browsing: looking for recordings by words, dates, agent, tag and state; groups; a list that goes on; addresses that say it all.

import assert from 'node:assert/strict';
import test from 'node:test';

import { system } from './harness.mjs';
import { eventually, listener } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

const SHORT = wav({ seconds: 1, channels: [tone(0.5)] });

/** A server with recordings put in over HTTP: `{ url, put(id, metadata) }`. */
async function archive(t, calls) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  const { url } = await place.serve();
  const put = async (id, metadata, bytes = SHORT) => {
    const stored = await fetch(`${url}/recordings/${id}/media`, { method: 'PUT', headers: { 'Content-Type': 'audio/wav' }, body: bytes });
    assert.equal(stored.status, 201, await stored.text());
    const said = await fetch(`${url}/recordings/${id}`, { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(metadata) });
    assert.equal(said.status, 200, await said.text());
  };
  for (let at = 0; at < calls.length; at += 8) await Promise.all(calls.slice(at, at + 8).map(([id, metadata]) => put(id, metadata)));
  return { url, put };
}

const CALLS = [
  ['call-1', { started_at: '2026-11-01T09:00:00Z', duration_s: 61, agent: 'ada', parties: ['+4930901820'], tags: ['billing'], direction: 'inbound' }],
  ['call-2', { started_at: '2026-11-02T09:00:00Z', duration_s: 62, agent: 'ada', tags: ['billing', 'complaint'], group: 'case-7' }],
  ['screen-2', { started_at: '2026-11-02T09:00:01Z', duration_s: 63, agent: 'ada', tags: ['screen'], group: 'case-7' }],
  ['call-3', { started_at: '2026-11-03T23:30:00Z', duration_s: 64, agent: 'grace', tags: ['complaint'] }],
  ['call-4', { started_at: '2026-11-04T09:00:00Z', duration_s: 65, agent: 'grace', tags: ['sales'] }],
];

test('words and each filter find what the catalogue says, alone and together', async (t) => {
  const { url } = await archive(t, CALLS);
  const { page, at, goto, ids, shot } = await listener(t, url, { timezoneId: 'UTC' });
  const shows = (wanted) => eventually(async () => (await ids()).join() === wanted.join(), `the list shows ${wanted}`);
  await goto();
  await shows(['call-4', 'call-3', 'screen-2', 'call-2', 'call-1']);

  await at('search').pressSequentially('grace');
  await shows(['call-4', 'call-3']);
  assert.equal(new URL(page.url()).hash, '#/?q=grace');
  await at('search').fill('4930901820');
  await shows(['call-1']);
  // One letter is too short to look for, and says so instead of failing.
  await at('search').fill('a');
  await shows(['call-4', 'call-3', 'screen-2', 'call-2', 'call-1']);
  assert.ok(await page.getByText('Words of 2 letters and more').isVisible());
  await at('search').fill('');

  await at('filters-toggle').click();
  await at('agent').fill('ada');
  await at('agent').blur();
  await shows(['screen-2', 'call-2', 'call-1']);
  await at('tag').fill('billing');
  await at('tag').blur();
  await shows(['call-2', 'call-1']);
  await at('from').fill('2026-11-02');
  await at('from').blur();
  await shows(['call-2']);
  await shot('filters');
  assert.equal(new URL(page.url()).hash, '#/?from=2026-11-02&agent=ada&tag=billing');
  await at('chip-agent').click();
  await at('chip-tag').click();
  // The last day is meant whole: call-3 began at half past eleven of that evening.
  await at('to').fill('2026-11-03');
  await at('to').blur();
  await shows(['call-3', 'screen-2', 'call-2']);
  await at('chip-from').click();
  await at('chip-to').click();
  await at('state').selectOption('unfinished');
  await at('nothing-found').waitFor();
  await at('state').selectOption('complete');
  await shows(['call-4', 'call-3', 'screen-2', 'call-2', 'call-1']);
});

test('a day is the reader\'s own', async (t) => {
  const { url } = await archive(t, CALLS);
  const { goto, ids } = await listener(t, url, { timezoneId: 'Asia/Tokyo' });
  // Half past eleven at night in Greenwich is the next morning in Tokyo.
  await goto('#/?from=2026-11-04&to=2026-11-04');
  await eventually(async () => (await ids()).join() === 'call-4,call-3', 'the calls of that day in Tokyo');
});

test('the address holds search and recording: reload, back, and a link to a moment', async (t) => {
  const { url, put } = await archive(t, CALLS);
  await put('long', { started_at: '2026-11-05T00:00:00Z', agent: 'ada' }, wav({ seconds: 100, channels: [tone(0.5)] }));
  const { page, at, goto, ids, ready, media } = await listener(t, url);
  await goto('#/?q=ada&tag=complaint');
  await eventually(async () => (await ids()).join() === 'call-2', 'the search of the address');
  assert.equal(await at('search').inputValue(), 'ada');
  await at('row').click();
  await ready();
  assert.equal(new URL(page.url()).hash, '#/recordings/call-2?q=ada&tag=complaint');
  await page.reload();
  await ready();
  assert.deepEqual(await ids(), ['call-2']);
  assert.equal(await page.locator('.detail-head h2').textContent(), 'call-2');
  await at('chip-tag').click();
  await eventually(async () => (await ids()).length === 4, 'all calls of ada');
  assert.equal(await page.locator('.detail-head h2').textContent(), 'call-2', 'the recording stays open');
  await page.goBack();
  await eventually(async () => (await ids()).join() === 'call-2', 'the search before');
  await page.goBack();
  await page.locator('.idle').waitFor();

  await goto('#/recordings/long?t=83');
  await ready();
  await eventually(async () => Math.abs((await media(['currentTime'])).currentTime - 83) < 0.01, 'the moment of the address');
  // Looking for something else meanwhile leaves what plays alone.
  await at('forward').click();
  await at('search').fill('grace');
  await eventually(async () => (await ids()).join() === 'call-4,call-3', 'another search');
  await at('search').fill('');
  await eventually(async () => (await ids()).length === 6, 'all again');
  assert.ok((await media(['currentTime'])).currentTime > 92, 'the place stays');
});

test('a group is shown, links to itself, and to its other recordings', async (t) => {
  const { url } = await archive(t, CALLS);
  const { page, at, goto, ids, ready, shot } = await listener(t, url);
  await goto();
  await at('row').first().waitFor();
  assert.deepEqual(await at('row-group').allTextContents(), ['Group case-7']);
  await at('row-group').click();
  await eventually(async () => (await ids()).join() === 'screen-2,call-2', 'the group alone');
  assert.equal(new URL(page.url()).hash, '#/?group=case-7');
  await page.locator('[data-id="call-2"]').click();
  await ready();
  assert.deepEqual(await at('group-row').allTextContents(), ['screen-2']);
  await shot('group');
  await at('group-row').click();
  await eventually(async () => await page.locator('.detail-head h2').textContent() === 'screen-2', 'the other recording');
  await at('group-link').click();
  await eventually(async () => new URL(page.url()).hash === '#/?group=case-7', 'the group\'s address');
});

const MANY = Array.from({ length: 120 }, (_, at) => {
  const number = String(at).padStart(3, '0');
  return [`call-${number}`, { started_at: `2026-10-01T10:${String(Math.floor(at / 60)).padStart(2, '0')}:${String(at % 60).padStart(2, '0')}Z`, agent: 'ada' }];
});

test('the list goes on by itself, by a button where nothing is observed, and over empty pages', async (t) => {
  const { url } = await archive(t, MANY);
  const all = MANY.map(([id]) => id).reverse();
  const { page, at, goto, ids, context } = await listener(t, url);
  await goto();
  await eventually(async () => (await ids()).length === 50, 'the first page');
  const toTheEnd = () => page.locator('#list').evaluate((list) => list.scrollTo(0, list.scrollHeight));
  await toTheEnd();
  await eventually(async () => (await ids()).length === 100, 'the second page');
  await toTheEnd();
  await eventually(async () => (await ids()).join() === all.join(), 'all, each once');
  assert.equal(await at('more').count(), 0);

  const plain = await context.newPage();
  await plain.addInitScript(() => { delete globalThis.IntersectionObserver; });
  await plain.goto(url);
  await plain.getByTestId('more').waitFor();
  await plain.getByTestId('row').last().focus();
  await plain.keyboard.press('Tab');
  await plain.keyboard.press('Enter');
  await eventually(async () => await plain.getByTestId('row').count() === 100, 'the second page by the keyboard');
  assert.equal(await plain.evaluate(() => document.activeElement.dataset.id), all[50], 'the focus is on the first new one');
  await plain.close();

  // A search goes a stretch at a time: two pages come empty before the first that is not.
  const asked = [];
  await page.route((address) => address.pathname === '/recordings' && address.searchParams.get('q') === 'ada', async (route) => {
    const wanted = new URL(route.request().url());
    const after = wanted.searchParams.get('after');
    asked.push(after);
    if (after === null) return route.fulfill({ json: { recordings: [], next: 'stretch-1' } });
    if (after === 'stretch-1') return route.fulfill({ json: { recordings: [], next: 'stretch-2' } });
    if (after === 'stretch-2') wanted.searchParams.delete('after');
    return route.continue({ url: wanted.href });
  });
  await at('search').fill('ada');
  await eventually(async () => asked.length >= 3 && (await ids())[0] === 'call-119', 'what lies behind the empty pages');
  assert.deepEqual(asked.slice(0, 3), [null, 'stretch-1', 'stretch-2']);
});

test('what is stored while the page is open appears by itself, and the focus stays', async (t) => {
  const { url, put } = await archive(t, CALLS);
  const { page, at, goto, ids } = await listener(t, url);
  await page.clock.install();
  await goto();
  await at('row').first().waitFor();
  await page.locator('[data-id="call-3"]').focus();
  await put('call-5', { started_at: '2026-11-05T09:00:00Z' });
  await page.clock.runFor(25_000);
  await eventually(async () => (await ids())[0] === 'call-5', 'the new recording');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.id), 'call-3');
});

test('where more comes than a page of the catalogue holds, an open list begins anew with it', async (t) => {
  const { url, put } = await archive(t, CALLS);
  const { page, at, goto, ids } = await listener(t, url, { expected: (text) => /Failed to load resource/.test(text) });
  await goto();
  await eventually(async () => (await ids()).length === CALLS.length, 'all are listed');
  // It does not see them come one by one.
  let isAway = true;
  await page.route((asked) => asked.pathname === '/recordings', (route) => (isAway ? route.abort() : route.continue()));
  const later = Array.from({ length: 56 }, (_, index) => `later-${index}`);
  for (let from = 0; from < later.length; from += 8) {
    await Promise.all(later.slice(from, from + 8).map((id, by) => put(id, { started_at: `2026-11-05T09:${String(from + by).padStart(2, '0')}:00Z` })));
  }
  isAway = false;
  await eventually(async () => (await ids())[0] === 'later-55', 'the newest is listed', 60_000);
  await eventually(async () => {
    await at('row').last().scrollIntoViewIfNeeded();
    return (await ids()).length === later.length + CALLS.length;
  }, 'the list goes on with those that lie between');
  assert.equal(new Set(await ids()).size, later.length + CALLS.length);
});
