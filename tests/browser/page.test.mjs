// The player's page, as people use it: what it shows, what it does, and what it must never do.

import assert from 'node:assert/strict';
import test from 'node:test';

import { browse, demo } from './harness.mjs';

test('the demo opens signed in and lists its recordings', async (t) => {
  const { url, token } = await demo(t);
  const { page, shot } = await browse(t);
  await page.goto(`${url}/#token=${token}`);
  await page.getByTestId('row').first().waitFor();
  const listed = await (await fetch(`${url}/recordings`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.deepEqual(await page.getByTestId('row').evaluateAll((rows) => rows.map((row) => row.dataset.id)), listed.recordings.map(({ id }) => id));
  assert.ok(!page.url().includes('token'), 'the token stays in the address');
  await shot('list');
});

test('the help leads to the other pages, where one stays signed in', async (t) => {
  const { url, token } = await demo(t);
  const { page } = await browse(t);
  await page.goto(`${url}/#token=${token}`);
  await page.getByTestId('row').first().waitFor();
  for (const name of ['Check this installation', 'Embed a recording']) {
    await page.getByTestId('help-button').click();
    await page.getByTestId('help').getByRole('link', { name }).click();
    await page.getByRole('heading', { name, level: 1 }).waitFor();
    await page.getByRole('link', { name: 'sealtape' }).click();
    await page.getByTestId('row').first().waitFor();
  }
});
