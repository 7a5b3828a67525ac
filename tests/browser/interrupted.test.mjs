// Interruptions: a stream that is cut goes on from its place, a network that is gone is told, an expired link is renewed.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { cuttingProxy } from './cutting.mjs';
import { system } from './harness.mjs';
import { eventually, listener, seal } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

/** More than a browser loads ahead. */
const TEN_MINUTES = wav({ seconds: 600, rate: 16000, channels: [tone(0.5), tone(0.3)] });
/** The browser itself logs each answer that is an error. */
const logged = (text) => /Failed to load resource/.test(text);

/** A server that asks who one is. */
const SIGNED_IN = `
[database]
url = "sqlite://DIR/sealtape.db"
[storage]
url = "file://DIR/media"
[definition_key]
kind = "file"
path = "DIR/definition.key"
[audit]
path = "DIR/audit"
[auth]
mode = "token"
link_secrets_file = "DIR/link.secrets"
token_key_file = "DIR/token.key"
`;

async function served(t) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', TEN_MINUTES);
  return place.serve();
}

/** The same where one signs in: with a token for it. */
async function signedIn(t) {
  const place = system(t, { config: (dir) => SIGNED_IN.replaceAll('DIR', dir) });
  writeFileSync(path.join(place.dir, 'token.key'), generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(path.join(place.dir, 'link.secrets'), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  await place.run(['definition-key', 'generate']);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', TEN_MINUTES);
  const token = (await place.run(['token', 'create', '--scope', 'recordings:list,recordings:play', '--subject', 'ada', '--ttl', '1h'])).trim();
  const { url } = await place.serve();
  return { url, token, place };
}

test('a stream that is cut mid-way goes on by range, from its place', async (t) => {
  const { url } = await served(t);
  const proxy = await cuttingProxy(t, url);
  const { at, goto, ready, until, media } = await listener(t, proxy.url, { expected: logged });
  await goto('#/recordings/call');
  await ready();
  await at('play').click();
  await until('media.currentTime > 0.5');
  proxy.cut(3, 200_000);
  await at('media').evaluate((element) => { element.currentTime = 300; });
  await until('!media.seeking && media.currentTime > 306 && media.currentTime < 320');
  const cut = proxy.asked.findIndex((one) => one.cut);
  assert.ok(cut >= 0, 'something was cut');
  const first = (range) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? -1);
  const half = 300 * 64_000;
  const later = proxy.asked.slice(cut + 1).filter(({ range }) => first(range) > half - 1_000_000);
  assert.ok(later.length > 0 && later.some(({ status }) => status === 206), `it asked on from its place: ${JSON.stringify(proxy.asked)}`);
  assert.equal(await at('problem').count(), 0);
  assert.equal((await media(['paused'])).paused, false);
});

test('where the browser gives up, the page takes up again from the place, and says so only when that does not help', async (t) => {
  const { url } = await served(t);
  const proxy = await cuttingProxy(t, url);
  const { at, goto, ready, until, page } = await listener(t, proxy.url, { expected: logged });
  await goto('#/recordings/call');
  await ready();
  await at('play').click();
  await until('media.currentTime > 0.5');
  // A browser does not try again after a 502: its element fails at once.
  const element = await at('media').elementHandle();
  proxy.fail(1);
  await at('media').evaluate((media) => { media.currentTime = 300; });
  await until('!media.seeking && media.currentTime > 300.3 && media.currentTime < 312 && !media.paused');
  assert.equal(await element.evaluate((media) => media.isConnected), false, 'the element that failed was replaced');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), 'play', 'the focus stays where it was');
  assert.equal(await at('problem').count(), 0);
  proxy.fail(1000);
  await at('media').evaluate((media) => { media.currentTime = 500; });
  await at('problem').waitFor();
  assert.equal(await at('problem-code').textContent(), 'http-502');
  assert.match(await at('kept-place').textContent(), /from 8:20/);
  proxy.fail(0);
  await at('retry').click();
  await until('media.readyState >= 1 && media.currentTime > 500.3 && !media.paused');
});

test('a network that is gone for good is told, the place is kept, and trying again goes on there', async (t) => {
  const { url } = await served(t);
  const proxy = await cuttingProxy(t, url);
  const { at, goto, ready, until } = await listener(t, proxy.url, { expected: logged });
  await goto('#/recordings/call');
  await ready();
  await at('play').click();
  await until('media.currentTime > 0.5');
  proxy.refuse(true);
  await at('media').evaluate((element) => { element.currentTime = 400; });
  await eventually(async () => await at('problem-code').count() === 1, 'a problem is told', 40_000);
  assert.equal(await at('problem-code').textContent(), 'server-unreachable');
  assert.match(await at('kept-place').textContent(), /from 6:40/);
  proxy.refuse(false);
  await at('retry').click();
  await until('media.readyState >= 1 && media.currentTime > 400.3 && media.currentTime < 410 && !media.paused');
});

test('a link that runs out while it plays is renewed without losing the place', async (t) => {
  const { url, token } = await signedIn(t);
  const { at, goto, until, media, page, context } = await listener(t, url, { expected: logged });
  const minted = [];
  await context.route('**/recordings/call/link', async (route) => {
    // The first link is a short one; whether it is good the server says, not the page.
    const body = minted.length === 0 ? { ttl: '20s' } : {};
    minted.push(body);
    await route.continue({ postData: JSON.stringify(body), headers: { ...await route.request().allHeaders(), 'content-type': 'application/json' } });
  });
  await goto(`#token=${token}`);
  await page.evaluate(() => { location.hash = '#/recordings/call'; });
  await until('media.readyState >= 1');
  await at('play').click();
  await until('media.currentTime > 0.5');
  // A loop that is left by going on behind it.
  await at('media').evaluate((element) => { element.currentTime = 60; });
  await until('!media.seeking && media.currentTime >= 60');
  await at('loop-a').click();
  await at('media').evaluate((element) => { element.currentTime = 90; });
  await until('!media.seeking && media.currentTime >= 90');
  await at('loop-b').click();
  const looped = await at('loop-said').textContent();
  assert.match(looped, /^1:0\d – 1:3\d$/);
  const before = await at('media').evaluate((element) => element.currentSrc);
  await eventually(async () => (await fetch(before, { method: 'HEAD' })).status === 403, 'the link has run out', 40_000);
  await at('media').evaluate((element) => { element.currentTime = 500; });
  await until('media.readyState >= 1 && !media.seeking && media.currentTime > 500.3 && media.currentTime < 515 && !media.paused');
  assert.notEqual((await media(['currentSrc'])).currentSrc, before, 'it plays by another link');
  assert.equal(minted.length, 2);
  assert.equal(await at('loop-said').textContent(), looped, 'the loop is kept');
  assert.equal(await at('problem').count(), 0);
});

test('what lies beside a recording opens by its link, which a browser can follow', async (t) => {
  const { url, token, place } = await signedIn(t);
  const [sound, notes] = [path.join(place.dir, 'beside.wav'), path.join(place.dir, 'notes.txt')];
  writeFileSync(sound, wav({ seconds: 1, channels: [tone(0.5)] }));
  writeFileSync(notes, 'Said on the phone.');
  await place.run(['import', sound, '--id', 'beside', '--sidecar', notes]);
  const { at, goto, page } = await listener(t, url, { expected: logged });
  await goto(`#token=${token}`);
  await page.evaluate(() => { location.hash = '#/recordings/beside'; });
  const link = at('facts').getByRole('link', { name: 'notes.txt' });
  await link.waitFor();
  assert.equal((await fetch(`${url}/recordings/beside/sidecars/notes.txt`)).status, 401, 'without a link nobody may');
  const address = new URL(await link.evaluate((each) => each.href));
  assert.match(address.searchParams.get('link'), /^v1\./);
  assert.ok(!address.href.includes(token));
  const answer = await fetch(address);
  assert.deepEqual([answer.status, await answer.text()], [200, 'Said on the phone.']);
});

test('whether a link is still good is told by the server\'s clock, not by that of the computer', async (t) => {
  const { url, token } = await signedIn(t);
  const { at, goto, until, page, context } = await listener(t, url, { expected: logged });
  await context.addInitScript(() => {
    const real = Date.now;
    Date.now = () => real() + 48 * 3_600_000;
  });
  let minted = 0;
  page.on('request', (request) => { if (request.url().endsWith('/recordings/call/link')) minted += 1; });
  await goto(`#token=${token}`);
  await page.evaluate(() => { location.hash = '#/recordings/call'; });
  await until('media.readyState >= 1');
  await at('play').click();
  await at('media').evaluate((element) => { element.currentTime = 300; });
  await until('!media.seeking && media.currentTime > 300.3');
  // Asked for anew, it is the same link.
  await page.evaluate(async () => (await import('/player/api.js')).recording('call'));
  assert.equal(minted, 1);
});
