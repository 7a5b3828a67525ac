// The QA page: it finds nothing wrong with what is right, and finds what is wrong.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { browse, demo, packageFile, ROOT, system } from './harness.mjs';

const SAMPLES = path.join(ROOT, 'player-demo/samples');
const WAYS = ['description', 'head', 'first-bytes', 'middle', 'last-byte', 'suffix', 'if-range-same', 'if-range-other',
  'several-ranges', 'past-the-end', 'not-modified', 'precondition', 'waveform', 'plays'];

test('in the demo every sample and every failure is checked with one button, and the report says what came', async (t) => {
  const { url, token } = await demo(t);
  const { page, shot } = await browse(t, { expected: isRefusal });
  await page.goto(`${url}/player/qa.html#token=${token}`);
  // By the keyboard alone.
  const letGo = await hold(page);
  await page.getByRole('button', { name: 'Run the checks' }).focus();
  await page.keyboard.press('Enter');
  await page.getByText('Recording 1 of 11').waitFor();
  letGo();
  await page.getByText(/^Done:/).waitFor({ timeout: 180_000 });
  await shot('qa-demo');
  const report = await download(page);
  assert.deepEqual(report.cases.filter(({ ok }) => ok === false), []);
  assert.equal(await page.locator('[data-ok=false]').count(), 0);
  assert.equal(await page.getByTestId('case').count(), report.cases.length);
  const of = (subject) => report.cases.filter((it) => it.subject === subject);
  for (const id of ['call-billing-wav-pcm', 'call-dispatch-wav-mulaw', 'call-reminder-mp3', 'call-triage-opus', 'screen-transfer-mp4', 'screen-form-webm']) {
    assert.deepEqual(of(id).map((it) => [it.id, it.ok]), WAYS.map((way) => [way, true]), id);
  }
  for (const [id, code] of [['failure-key-missing', 'key-missing'], ['failure-corrupt', 'recording-corrupt'], ['failure-media-missing', 'media-missing']]) {
    assert.deepEqual(of(id).map((it) => it.id), ['description', 'media-problem', 'head-problem', 'range-problem', 'waveform-problem', 'problem-page'], id);
    assert.ok(of(id).slice(1, 4).every(({ seen }) => seen.includes(code)), id);
  }
  assert.equal(of('failure-unfinished').find(({ id }) => id === 'head').expected.includes('unfinished'), true);
  const gsm = of('call-archive-wav-gsm').find(({ id }) => id === 'plays');
  assert.deepEqual([gsm.ok, gsm.seen], [null, 'this browser lacks GSM 6.10']);
  const server = Object.fromEntries(of('server').map((it) => [it.id, it.seen]));
  assert.equal(server['encryption-switch'], '409, encryption-disabled; then 206');
  assert.equal(server['expired-link'], '403, link-expired');
  const version = JSON.parse(await (await fetch(`${url}/openapi.json`)).text()).info.version;
  assert.deepEqual([report.server, report.server_version, report.finished], [url, version, true]);
  assert.ok(Date.now() - Date.parse(report.run_at) < 300_000 && /Chrom/.test(report.user_agent));
  const leftOut = report.cases.filter(({ ok }) => ok === null);
  assert.ok(leftOut.every(({ id, subject }) => id === 'plays' && subject === 'call-archive-wav-gsm'));
  assert.deepEqual(report.summary, { as_expected: report.cases.length - leftOut.length, faults: 0, left_out: leftOut.length });
  assert.ok(report.cases.filter(({ request_id }) => /^[0-9a-f]{16}$/.test(request_id)).length > 100, 'request IDs');
  assert.doesNotMatch(JSON.stringify(report), new RegExp(`${token}|link=v1|v1\\.[A-Za-z0-9]{20}`), 'it tells how to play');
});

test('an installation is checked by what its catalogue says, and what differs is found', async (t) => {
  const at = system(t);
  await at.run(['keys', 'generate']);
  for (const [id, file] of [['a', 'call-billing-wav-pcm.wav'], ['b', 'call-reminder-mp3.mp3'], ['c', 'call-triage-opus.ogg']]) {
    await at.run(['import', path.join(SAMPLES, file), '--id', id]);
  }
  const { url } = await at.serve();
  const { page, shot } = await browse(t, { expected: isRefusal });
  await page.goto(`${url}/player/qa.html`);
  await page.getByLabel('Recordings, newest first').fill('2');
  assert.deepEqual(subjects(await run(page)), ['c', 'b', 'server']);

  await page.getByLabel('Recordings, newest first').fill('25');
  const whole = await run(page);
  assert.deepEqual(subjects(whole), ['c', 'b', 'a', 'server']);
  assert.deepEqual(whole.cases.filter(({ ok }) => ok === false), []);

  // Something between here and there changes one byte of each suffix, drops a header, and answers a failure with a page.
  await page.route('**/recordings/b/media', async (route) => {
    const answer = await route.fetch();
    const [body, headers] = [await answer.body(), answer.headers()];
    if (route.request().headers().range === 'bytes=-1024') body[500] ^= 1;
    if (route.request().method() === 'HEAD') delete headers.etag;
    await route.fulfill({ response: answer, body, headers });
  });
  await page.route('**/no-such-page', (route) => route.fulfill({ status: 200, body: 'welcome' }));
  const spoilt = await run(page);
  const faults = spoilt.cases.filter(({ ok }) => ok === false).map(({ subject, id }) => `${subject} ${id}`);
  assert.deepEqual(faults, ['b head', 'b suffix', 'b not-modified', 'server no-such-page']);
  await page.getByLabel('Show faults only').check();
  assert.deepEqual(await page.locator('[data-testid=case]:visible').evaluateAll((rows) => rows.map((row) => row.dataset.case)), ['head', 'suffix', 'not-modified', 'no-such-page']);
  await page.getByText('4 faults').waitFor();
  await shot('qa-faults');
});

test('what cannot play must say the same why everywhere', async (t) => {
  const at = system(t);
  await at.run(['keys', 'generate']);
  await at.run(['import', path.join(SAMPLES, 'call-billing-wav-pcm.wav'), '--id', 'a']);
  const [{ fingerprint }] = JSON.parse(await at.run(['keys', 'list', '--json']));
  await at.run(['keys', 'deactivate', fingerprint, '--force']);
  const { url } = await at.serve();
  const { page } = await browse(t, { expected: isRefusal });
  await page.goto(`${url}/player/qa.html`);
  const report = await run(page);
  const of = report.cases.filter(({ subject }) => subject === 'a');
  assert.deepEqual(of.map(({ id, ok, seen }) => [id, ok, seen]), [
    ['description', true, 'not playable: key-deactivated'], ['media-problem', true, '409, key-deactivated'],
    ['head-problem', true, '409, key-deactivated'], ['range-problem', true, '409, key-deactivated'],
    ['waveform-problem', true, '409, key-deactivated'], ['problem-page', true, '200, text/html; charset=utf-8'],
  ]);
  // A description that says another code than the media.
  await page.route('**/recordings/a', async (route) => {
    const answer = await route.fetch();
    const document = await answer.json();
    document.problem.code = 'key-missing';
    await route.fulfill({ response: answer, json: document });
  });
  const faults = (await run(page)).cases.filter(({ ok }) => ok === false);
  assert.deepEqual(faults.map(({ id }) => id), ['media-problem', 'head-problem', 'range-problem', 'waveform-problem']);
});

test('a run can be stopped, and its report says so; a catalogue that refuses is told', async (t) => {
  const { url, token } = await demo(t);
  const { page } = await browse(t, { expected: isRefusal });
  await page.goto(`${url}/player/qa.html#token=${token}`);
  const letGo = await hold(page);
  await page.getByRole('button', { name: 'Run the checks' }).click();
  await page.getByText('Recording 1 of 11').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  letGo();
  await page.getByText(/^Stopped:/).waitFor();
  const report = await download(page);
  assert.equal(report.finished, false);
  assert.ok(report.cases.length < 60, `${report.cases.length}`);
  await page.route('**/recordings?*', (route) => route.fulfill({ status: 503, json: { code: 'catalogue-unavailable', detail: 'Its database is away.' } }));
  const refused = await run(page, /^Stopped:/);
  assert.equal(refused.cases[0].seen, 'the catalogue answers 503, catalogue-unavailable: Its database is away.');
  assert.equal(refused.summary.faults, 1);
});

test('an answer that does not come is a fault, and the run goes on', async (t) => {
  const at = system(t);
  await at.run(['keys', 'generate']);
  await at.run(['import', path.join(SAMPLES, 'call-billing-wav-pcm.wav'), '--id', 'a']);
  const { url } = await at.serve();
  const { page } = await browse(t, { expected: isRefusal });
  // Its minute takes three seconds here.
  await page.addInitScript(() => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = (ms) => timeout(ms / 20);
  });
  await page.route('**/recordings/a/waveform?*', () => {});
  await page.goto(`${url}/player/qa.html`);
  const { cases, finished } = await run(page);
  const late = cases.find(({ id }) => id === 'waveform');
  assert.deepEqual([finished, late.ok, late.seen], [true, false, 'no answer within 60 s']);
  assert.ok(late.ms >= 2500, `${late.ms} ms`);
  assert.ok(cases.some(({ subject }) => subject === 'server'), 'what comes after it was checked');
});

test('axe finds nothing, light and dark, wide and narrow', async (t) => {
  const { url, token } = await demo(t);
  for (const [colorScheme, width] of [['light', 1280], ['dark', 320]]) {
    const { page, shot } = await browse(t, { colorScheme, viewport: { width, height: 900 }, expected: isRefusal, bypassCSP: true });
    await page.goto(`${url}/player/qa.html#token=${token}`);
    await page.getByLabel('Recordings, newest first').fill('4');
    await page.getByLabel('Play each one, unheard').uncheck();
    await page.route('**/livez', (route) => route.fulfill({ status: 500, body: '' }));
    await run(page);
    await page.addScriptTag({ content: packageFile('axe-core/axe.min.js').toString() });
    const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html, failureSummary }) => `${html}: ${failureSummary}`)]), [], `${colorScheme} ${width}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is wider than the page');
    await shot(`qa-${colorScheme}-${width}`);
  }
});

/** Holds the first request for media until the function is called that it gives. */
async function hold(page) {
  let letGo;
  const held = new Promise((resolve) => { letGo = resolve; });
  await page.route('**/media*', async (route) => {
    await held;
    // A run that was stopped has given it up.
    await route.continue().catch(() => {});
  }, { times: 1 });
  return letGo;
}

/** Runs the checks to their end; the report. */
async function run(page, end = /^Done:/) {
  await page.getByRole('button', { name: 'Run the checks' }).click();
  await page.getByText(end).waitFor({ timeout: 180_000 });
  return download(page);
}

async function download(page) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByTestId('report').click()]);
  assert.match(file.suggestedFilename(), /^sealtape-qa-.*\.json$/);
  return JSON.parse(readFileSync(await file.path(), 'utf8'));
}

function subjects({ cases }) {
  return [...new Set(cases.map(({ subject }) => subject))];
}

/** A browser writes every refusal on the console, and refusals are what is asked for here. */
function isRefusal(text) {
  return /Failed to load resource/.test(text);
}
