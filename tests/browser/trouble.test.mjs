// Trouble, told well: each problem in words that a supervisor understands, what support asks for, a retry that works once the
// cause is gone, and the name of a codec that the browser lacks. What interrupts playing is in interrupted.test.mjs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

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
  code = 'internal';
  await goto('#/recordings/call');
  await at('problem').waitFor();
  for (const each of [...codes, 'unheard-of']) {
    code = each;
    await at('retry').click();
    await eventually(async () => await at('problem-code').count() === 1 && await at('problem-code').textContent() === each, each);
    const [title, means, act] = sentences[each] ?? ['Title of unheard-of', 'Detail of unheard-of', /request ID/];
    assert.equal(await at('problem-title').textContent(), title);
    assert.equal(await at('problem-means').textContent(), means);
    assert.match(await at('problem-act').textContent(), act instanceof RegExp ? act : new RegExp(`^${act.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`));
    assert.match(await at('problem-server').textContent(), new RegExp(`Title of ${each} – Detail of ${each}`), 'the server\'s own words are kept');
  }
});

test('what a problem is about is a link only where it leads to this server', async (t) => {
  const { url } = await served(t);
  const { page, at, goto, context } = await listener(t, url);
  const real = await (await fetch(`${url}/recordings/call`)).json();
  let type = null;
  await context.route('**/recordings/call', (route) => route.fulfill({ json: { ...real, playable: false, problem: { type, code: 'internal', title: 'T', status: 500, detail: 'D' } } }));
  for (const [given, href] of [
    ['/problems/internal', `${url}/problems/internal`], [`${url}/problems/internal`, `${url}/problems/internal`], ['about:blank', null],
    ['https://elsewhere.example/problems/internal', null], ['//elsewhere.example/problems/internal', null], ['javascript:alert(1)', null],
    ['data:text/html,x', null], ['http://[', null],
  ]) {
    type = given;
    await goto('#/recordings/call');
    await at('problem').waitFor();
    await at('problem-server').locator('summary').click();
    assert.deepEqual(await at('problem').locator('a[target]').evaluateAll((links) => links.map((link) => link.href)), href === null ? [] : [href], given);
  }
  await page.goto('about:blank');
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
  // What came of opening it, or of trying again; the button is not enabled before.
  const settled = () => second.page.waitForFunction(() => document.querySelector('[data-testid=media], [data-testid=retry]:enabled') !== null);
  await eventually(async () => {
    await settled();
    return await second.at('problem-code').count() === 1 || (await second.page.reload(), false);
  }, 'the server has seen it');
  await told(second, 'key-deactivated');
  await place.run(['keys', 'activate', fingerprint]);
  await eventually(async () => {
    await settled();
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
