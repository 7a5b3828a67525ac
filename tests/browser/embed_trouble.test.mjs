// <sealtape-player> where things go wrong: links that run out, streams that break off, recordings that do not play.

import assert from 'node:assert/strict';
import test from 'node:test';

import { browse } from './harness.mjs';
import { isRefusal, origins, played, told } from './origins.mjs';

test('a link that runs out while it plays is told, and a new one goes on from the place', async (t) => {
  const { link, server, host } = await origins(t, { isLong: true });
  const { page, shot } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  const short = await link('hour.mp3', '20s');
  await page.goto(host.page({ link: short, start: '600' }));
  await told(page, 'sealtape-ready');
  await page.evaluate(() => window.player.play());
  await played(page, 600.2);
  await answered(short, 403);
  // What has come plays on; what must be asked for is refused.
  await page.evaluate(() => window.player.seek(3000));
  const { recording, time } = await told(page, 'sealtape-link-expired');
  assert.equal(recording, 'hour.mp3');
  assert.ok(Math.abs(time - 3000) < 1, `${time}`);
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'link-expired');
  await page.getByText('The link to this recording has run out.').waitFor();
  await shot('embed-link-expired');
  // It was playing, and goes on playing.
  await page.evaluate((link) => { window.player.link = link; }, await link('hour.mp3'));
  await played(page, 3000.3);
  assert.ok(await page.evaluate(() => window.player.currentTime) < 3020);
});

test('a new link that comes early leaves what plays in peace, and is used from then on', async (t) => {
  const { link, server, host, through } = await origins(t, { isCounted: true, isLong: true });
  const { page } = await browse(t, { hosts: [new URL(server).host] });
  const short = await link('hour.mp3', '20s');
  await page.goto(host.page({ link: short }));
  await told(page, 'sealtape-ready');
  await page.evaluate(() => window.player.play());
  await played(page, 0.3);
  const fresh = await link('hour.mp3');
  await page.evaluate((link) => {
    window.element = window.player.shadowRoot.querySelector('audio');
    window.player.link = link;
  }, fresh);
  await answered(short, 403);
  assert.ok(await page.evaluate(() => window.element.isConnected && !window.element.paused), 'it played on');
  await page.evaluate(() => window.player.seek(2000));
  await played(page, 2000.3);
  assert.ok(through.take().some(({ path }) => fresh.endsWith(path)), 'by the new link');
  assert.deepEqual(await page.evaluate(() => window.told.filter(({ name }) => /expired|problem/.test(name))), []);
});

test('a stream that is cut goes on by itself from its place', async (t) => {
  const { link, server, host, through } = await origins(t, { isCounted: true, isLong: true });
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  await page.goto(host.page({ link: await link('hour.mp3') }));
  await told(page, 'sealtape-ready');
  await page.evaluate(() => window.player.play());
  await played(page, 0.3);
  through.take();
  // Chromium asks again by itself, from where it stood.
  through.cut(40_000, 2);
  await page.evaluate(() => window.player.seek(1800));
  await played(page, 1801);
  assert.ok(through.take().filter(({ range }) => /bytes=1[34]\d{6}-/.test(range ?? '')).length > 1, 'by ranges from where it stood');
  // A balancer that has nobody to ask for a moment: Chromium gives up, the element finds out why, and takes it up again.
  through.refuse(2);
  await page.evaluate(() => window.player.seek(2700));
  await played(page, 2701);
  assert.ok(through.take().some(({ path }) => path.startsWith('/recordings/hour.mp3?')), 'it asked why');
  assert.deepEqual(await page.evaluate(() => window.told.filter(({ name }) => name === 'sealtape-problem')), []);
  // Refused for good, it says so with its place, and does not ask for ever.
  through.refuse(1_000_000);
  await page.evaluate(() => window.player.seek(900));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'connection-cut');
  const place = await page.evaluate(() => window.player.currentTime);
  assert.ok(Math.abs(place - 900) < 1, `the place is kept: ${place}`);
  through.take();
  await page.waitForTimeout(1500);
  assert.deepEqual(through.take(), []);
  through.refuse(0);
  await page.getByRole('button', { name: 'Try again' }).click();
  await played(page, 900.3);
});

test('what never comes is no missing codec', async (t) => {
  const { link, server, host, through } = await origins(t, { isCounted: true });
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  through.cut(0, 1_000_000);
  await page.goto(host.page({ link: await link('call') }));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'server-unreachable');
  through.cut(0, 0);
  await page.getByRole('button', { name: 'Try again' }).click();
  await told(page, 'sealtape-ready');
});

test('a moment of trouble with the first bytes is no missing codec', async (t) => {
  const { link, server, host, through } = await origins(t, { isCounted: true });
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  through.refuse(1);
  await page.goto(host.page({ link: await link('call') }));
  await told(page, 'sealtape-ready');
  assert.deepEqual(await page.evaluate(() => window.told.filter(({ name }) => name === 'sealtape-problem')), []);
});

test('nor is one that the question why meets as well: it begins all the same', async (t) => {
  const { link, server, host, through } = await origins(t, { isCounted: true });
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  // The element's first request, and the read that should tell why it failed.
  through.refuse(2);
  await page.goto(host.page({ link: await link('call') }));
  await told(page, 'sealtape-ready');
  assert.equal(through.take().filter(({ status, path }) => status === null && /\/media\?/.test(path)).length, 2, 'both were refused');
  assert.deepEqual(await page.evaluate(() => window.told.filter(({ name }) => name === 'sealtape-problem')), []);
});

test('a link that is set as soon as the old one is told to have run out is used, and nothing is said', async (t) => {
  const { link, server, host } = await origins(t);
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  const short = await link('call', '1s');
  await answered(short, 403);
  await page.addInitScript((fresh) => {
    document.addEventListener('sealtape-link-expired', ({ target }) => { target.link = fresh; });
  }, await link('call'));
  await page.goto(host.page({ link: short }));
  await told(page, 'sealtape-ready');
  await told(page, 'sealtape-link-expired');
  assert.deepEqual(await page.evaluate(() => window.told.filter(({ name }) => name === 'sealtape-problem')), []);
});

test('each trouble is told by its code, in words, with what support asks for', async (t) => {
  const { link, server, host, run } = await origins(t);
  const { page, shot } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  await page.goto(host.page({ link: await link('gsm') }));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'codec-missing');
  assert.match(await page.getByRole('link', { name: 'Download' }).getAttribute('href'), /\/recordings\/gsm\/media\?download=gsm&link=v1\./);
  await page.goto(host.page({ link: `${server}/recordings/call/media?link=v1.x.y` }));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'forbidden');

  const [{ fingerprint }] = JSON.parse(await run(['keys', 'list', '--json']));
  const url = await link('call');
  await run(['keys', 'deactivate', fingerprint, '--force']);
  await answered(url, 409);
  await page.goto(host.page({ link: url }));
  const { problem } = await told(page, 'sealtape-problem');
  assert.deepEqual([problem.code, problem.status, problem.fingerprint], ['key-deactivated', 409, fingerprint]);
  const said = await page.getByRole('alert').innerText();
  assert.ok(said.includes(fingerprint) && said.includes(problem.instance) && said.includes('has been deactivated'), said);
  await shot('embed-key-deactivated');
  // The cause is gone: one press, and it plays.
  await run(['keys', 'activate', fingerprint]);
  await answered(url, 200);
  await page.getByRole('button', { name: 'Try again' }).click();
  await told(page, 'sealtape-ready');
  assert.equal(await page.evaluate(() => window.player.problem), null);
});

/** A running server sees what a command changed within a second; a link ends when its time is over. */
async function answered(url, status) {
  for (let tries = 0; (await fetch(url, { method: 'HEAD' })).status !== status; tries += 1) {
    assert.ok(tries < 600, `not answered ${status}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}
