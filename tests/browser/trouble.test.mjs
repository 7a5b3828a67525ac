// Trouble, told well: each problem in words that a supervisor understands, what support asks for, a retry that works once the
// cause is gone, and playing that goes on from its place after a cut or an expired link.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { cuttingProxy } from './cutting.mjs';
import { ROOT, demo, system } from './harness.mjs';
import { eventually, listener, seal } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

const MINUTE = wav({ seconds: 60, channels: [tone(0.5), tone(0.3)] });
/** The browser itself logs each answer that is an error. */
const logged = (text) => /Failed to load resource/.test(text);

async function served(t, bytes = MINUTE) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', bytes, { started_at: '2026-11-01T09:00:00Z' });
  const server = await place.serve();
  return { place, server, url: server.url };
}

test('each code that the server knows has a sentence of its own, and shows it', async (t) => {
  const { url } = await served(t);
  const { page, at, goto, context } = await listener(t, url);
  const { components } = await (await fetch(`${url}/openapi.json`)).json();
  const codes = components.schemas.ProblemCode.enum;
  assert.ok(codes.length > 25);
  await goto();
  const sentences = await page.evaluate(async () => (await import('/player/trouble.js')).SENTENCES);
  assert.deepEqual(codes.filter((code) => !(code in sentences)), [], 'codes without a sentence');
  const titles = Object.values(sentences).map(([title]) => title);
  assert.equal(new Set(titles).size, titles.length, 'two codes are told alike');
  let code = null;
  const real = await (await fetch(`${url}/recordings/call`)).json();
  await context.route('**/recordings/call', (route) => route.fulfill({
    json: { ...real, playable: false, problem: { type: `/problems/${code}`, code, title: `Title of ${code}`, status: 500, detail: `Detail of ${code}`, instance: 'abc123' } },
  }));
  for (const each of [...codes, 'unheard-of']) {
    code = each;
    await goto('#/recordings/call');
    await eventually(async () => await at('problem-code').count() === 1 && await at('problem-code').textContent() === each, each);
    const [title, means, act] = sentences[each] ?? ['Title of unheard-of', 'Detail of unheard-of', /request ID/];
    assert.equal(await at('problem-title').textContent(), title);
    assert.equal(await at('problem-means').textContent(), means);
    assert.match(await at('problem-act').textContent(), act instanceof RegExp ? act : new RegExp(`^${act.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`));
    assert.match(await at('problem-server').textContent(), new RegExp(`Title of ${each} – Detail of ${each}`), 'the server\'s own words are kept');
  }
});

test('what the demo keeps for failures is told with fingerprint and request ID to copy', async (t) => {
  const { url, token } = await demo(t);
  const { page, at, goto, shot } = await listener(t, url, { expected: logged, permissions: ['clipboard-read', 'clipboard-write'] });
  await goto(`#token=${token}`);
  await at('row').first().waitFor();
  for (const [id, title] of [
    ['failure-key-missing', 'The key to this recording is missing'],
    ['failure-corrupt', 'The recording is damaged'],
    ['failure-media-missing', 'The recording\'s file is gone'],
    ['nobody', 'There is no such recording'],
  ]) {
    await goto(`#/recordings/${id}`);
    await eventually(async () => await at('problem-title').count() === 1 && await at('problem-title').textContent() === title, `${id}: ${title}`);
    assert.match(await at('request-id').textContent(), /^[0-9a-f]{16}$/);
    await shot(id);
  }
  await goto('#/recordings/failure-key-missing');
  const { fingerprint } = await (await fetch(`${url}/recordings/failure-key-missing`, { headers: { Authorization: `Bearer ${token}` } })).json();
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await at('copy-key-fingerprint').click();
  await eventually(async () => await clipboard() === fingerprint, 'the whole fingerprint');
  await at('copy-request-id').click();
  const id = await at('request-id').textContent();
  await eventually(async () => await clipboard() === id, 'the request ID');
  await page.getByText('Copy all for support').click();
  await eventually(async () => (await clipboard()).includes('Problem: key-missing'), 'all of it');
  for (const part of [`Recording: failure-key-missing`, `Key fingerprint: ${fingerprint}`, `Request ID: ${id}`]) assert.ok((await clipboard()).includes(part), part);
});

test('"Try again" works once the cause is gone, and not before: a switch, a key, a server that was away', async (t) => {
  const { url, token } = await demo(t);
  const first = await listener(t, url, { expected: logged });
  const turn = async (enabled) => {
    const answer = await fetch(`${url}/demo/encryption`, {
      method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ enabled }),
    });
    assert.equal(answer.status, 200);
  };
  await turn(false);
  await first.goto('#/recordings/call-billing-wav-pcm?t=4');
  const told = (person, code) => eventually(async () => await person.at('problem-code').count() === 1 && await person.at('problem-code').textContent() === code, code);
  await told(first, 'encryption-disabled');
  await first.at('retry').click();
  await eventually(async () => await first.at('retry').textContent() === 'Try again', 'the try is over');
  await told(first, 'encryption-disabled');
  await turn(true);
  await first.at('retry').click();
  await first.until('media.readyState >= 1 && media.currentTime === 4');

  const { place, server } = await served(t);
  const port = new URL(server.url).port;
  const second = await listener(t, server.url, { expected: (text) => logged(text) });
  const fingerprint = JSON.parse(await place.run(['keys', 'list', '--json']))[0].fingerprint;
  await place.run(['keys', 'deactivate', fingerprint, '--force']);
  await second.goto('#/recordings/call?t=30');
  await eventually(async () => await second.at('problem-code').count() === 1 || (await second.page.reload(), false), 'the server has seen it');
  await told(second, 'key-deactivated');
  await place.run(['keys', 'activate', fingerprint]);
  await eventually(async () => {
    if (await second.at('media').count() > 0) return true;
    await second.at('retry').click();
    return false;
  }, 'it plays again');
  await second.until('media.readyState >= 1 && media.currentTime === 30');

  await server.stop();
  await second.page.locator('[data-id="call"]').waitFor();
  await second.page.evaluate(() => { location.hash = '#/recordings/call-nobody'; });
  await told(second, 'server-unreachable');
  await second.page.evaluate(() => { location.hash = '#/recordings/call?t=20'; });
  await told(second, 'server-unreachable');
  assert.match(await second.at('kept-place').textContent(), /from 0:20/);
  await place.serve(`127.0.0.1:${port}`);
  await second.at('retry').click();
  await second.until('media.readyState >= 1 && media.currentTime === 20');
});

test('a stream that is cut mid-way goes on by range, from its place', async (t) => {
  // Ten minutes, more than a browser loads ahead.
  const { url } = await served(t, wav({ seconds: 600, rate: 16000, channels: [tone(0.5), tone(0.3)] }));
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

test('a network that is gone for good is told, the place is kept, and trying again goes on there', async (t) => {
  const { url } = await served(t, wav({ seconds: 600, rate: 16000, channels: [tone(0.5), tone(0.3)] }));
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
  const place = system(t, {
    config: (dir) => `[database]\nurl = "sqlite://${dir}/sealtape.db"\n[storage]\nurl = "file://${dir}/media"\n[definition_key]\nkind = "file"\npath = "${dir}/definition.key"\n[audit]\npath = "${dir}/audit"\n[auth]\nmode = "token"\nlink_secrets_file = "${dir}/link.secrets"\n`,
  });
  await place.run(['definition-key', 'generate']);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', wav({ seconds: 600, rate: 16000, channels: [tone(0.5), tone(0.3)] }));
  const token = (await place.run(['token', 'create', '--scope', 'recordings:list', '--scope', 'recordings:play', '--subject', 'ada', '--ttl', '1h'])).trim();
  const { url } = await place.serve();
  const { at, goto, until, media, page, context } = await listener(t, url, { expected: logged });
  const minted = [];
  await context.route('**/recordings/call/link', async (route) => {
    // The first link is a short one; whether it is good the server says, not the page.
    const body = minted.length === 0 ? { ttl: '3s' } : {};
    minted.push(body);
    await route.continue({ postData: JSON.stringify(body), headers: { ...await route.request().allHeaders(), 'content-type': 'application/json' } });
  });
  await goto(`#token=${token}`);
  await page.evaluate(() => { location.hash = '#/recordings/call'; });
  await until('media.readyState >= 1');
  await at('play').click();
  await until('media.currentTime > 0.5');
  const before = await at('media').evaluate((element) => element.currentSrc);
  await page.waitForTimeout(4000);
  await at('media').evaluate((element) => { element.currentTime = 500; });
  await until('media.readyState >= 1 && !media.seeking && media.currentTime > 500.3 && media.currentTime < 515 && !media.paused');
  assert.notEqual((await media(['currentSrc'])).currentSrc, before, 'it plays by another link');
  assert.equal(minted.length, 2);
  assert.equal(await at('problem').count(), 0);
});

test('a codec that the browser lacks is named, and the download is the recording', async (t) => {
  const { url, token } = await demo(t);
  const { page, at, goto } = await listener(t, url, { expected: logged });
  await goto(`#token=${token}`);
  await at('row').first().waitFor();
  await goto('#/recordings/call-archive-wav-gsm');
  await at('codec-note').getByText('This browser cannot play GSM 6.10. The recording itself is fine.').waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), at('download').click()]);
  assert.equal(download.suggestedFilename(), 'call-archive-wav-gsm.wav');
  assert.ok(readFileSync(await download.path()).equals(readFileSync(path.join(ROOT, 'player-demo/samples/call-archive-wav-gsm.wav'))));
});
