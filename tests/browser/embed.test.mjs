// <sealtape-player> in pages of another origin: by a signed link, under a policy that forbids inline styles and scripts.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { counting } from './counting.mjs';
import { browse, demo, packageFile, ROOT, system } from './harness.mjs';
import { recordings } from './recordings.mjs';

const SAMPLES = path.join(ROOT, 'player-demo/samples');
const MODULE = path.join(ROOT, 'player-demo/sealtape-player.js');
/** What a strict host allows: its own scripts, media and answers of the one server, no inline style. */
const policy = (server) => `default-src 'none'; script-src 'self' ${server}; style-src 'self'; img-src data:; media-src ${server}; connect-src ${server}`;

test('it is one small file without imports', () => {
  const source = readFileSync(MODULE, 'utf8');
  assert.ok(statSync(MODULE).size < 30 * 1024, `${statSync(MODULE).size} bytes`);
  assert.doesNotMatch(source, /^\s*import[\s{*'"]|\bimport\(/m, 'it imports');
  assert.doesNotMatch(source, /innerHTML|insertAdjacentHTML|document\.write|\beval\b/, 'text could become markup');
});

test('a page of another origin plays by a signed link, and seeks', async (t) => {
  const { link, server, host } = await origins(t);
  const { page, shot } = await browse(t, { hosts: [new URL(server).host], expected: hasNoWaveform });
  await page.goto(host.page({ 'link': await link('call'), label: 'Call of Monday' }));
  const ready = await told(page, 'sealtape-ready');
  assert.equal(ready.details.id, 'call');
  assert.ok(Math.abs(ready.duration - 20) < 0.3, `${ready.duration}`);
  await page.getByRole('button', { name: 'Play' }).click();
  await told(page, 'sealtape-play');
  await played(page, 0.3);
  await page.evaluate(() => window.player.seek(15));
  await played(page, 15.3);
  await page.evaluate(() => window.player.seek(2));
  await played(page, 2.2);
  assert.ok(await page.evaluate(() => window.player.currentTime) < 10, 'it went back');
  const slider = page.getByRole('slider', { name: 'Position' });
  await slider.click({ position: { x: (await slider.boundingBox()).width * 0.75, y: 10 } });
  await played(page, 14.9);
  await page.getByRole('button', { name: 'Pause' }).click();
  await told(page, 'sealtape-pause');
  await shot('embed-audio');
  // To the end: it says so.
  await page.evaluate(() => { window.player.seek(19.5); return window.player.play(); });
  await told(page, 'sealtape-ended');
});

test('keys move it, and what it shows is told to screen readers', async (t) => {
  const { link, server, host } = await origins(t);
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: hasNoWaveform });
  await page.goto(host.page({ link: await link('call'), label: 'Call of Monday' }));
  await told(page, 'sealtape-ready');
  const slider = page.getByRole('group', { name: 'Call of Monday' }).getByRole('slider', { name: 'Position' });
  await slider.focus();
  for (const [key, at, words] of [['ArrowRight', 5, '0:05 of 0:20'], ['ArrowLeft', 0, '0:00 of 0:20'], ['PageUp', 20, '0:20 of 0:20'], ['Home', 0, '0:00 of 0:20'], ['End', 20, '0:20 of 0:20']]) {
    await page.keyboard.press(key);
    await page.waitForFunction((at) => Math.abs(window.player.currentTime - at) < 0.3, at);
    await page.waitForFunction(([node, words]) => node.getAttribute('aria-valuetext') === words, [await slider.elementHandle(), words]);
  }
  await page.getByLabel('Speed').selectOption('1.5');
  assert.deepEqual(await page.evaluate(() => [window.player.speed, window.player.getAttribute('speed')]), [1.5, '1.5']);
  assert.equal(await page.evaluate(() => window.player.shadowRoot.querySelector('audio').playbackRate), 1.5);
});

test('axe finds nothing, light and dark, wide and narrow, playing and in trouble', async (t) => {
  const { link, server, host } = await origins(t);
  for (const [colorScheme, width] of [['light', 1000], ['dark', 320]]) {
    const { page, shot } = await browse(t, { hosts: [new URL(server).host], colorScheme, viewport: { width, height: 500 }, expected: isRefusal, bypassCSP: true });
    for (const [name, id] of [['playing', 'call'], ['video', 'screen'], ['trouble', 'gsm']]) {
      await page.goto(host.page({ link: await link(id) }));
      await told(page, name === 'trouble' ? 'sealtape-problem' : 'sealtape-ready');
      assert.deepEqual(await violations(page), [], `${name}, ${colorScheme}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the page`);
      await shot(`embed-${name}-${colorScheme}`);
    }
  }
});

test('an expired link is told, and a new one goes on from the place', async (t) => {
  const { link, server, host } = await origins(t);
  const { page, shot } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  await page.goto(host.page({ link: await link('call', '2s'), start: '7' }));
  await told(page, 'sealtape-ready');
  await page.evaluate(() => window.player.play());
  await played(page, 7.2);
  await page.evaluate(() => window.player.pause());
  await page.waitForTimeout(2200);
  // All of a short recording may lie in the browser: what the page would do next is asked anew.
  await page.evaluate(() => window.player.reload());
  const { recording, time } = await told(page, 'sealtape-link-expired');
  assert.equal(recording, 'call');
  assert.ok(time > 7 && time < 12, `${time}`);
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'link-expired');
  await page.getByText('The link to this recording has run out.').waitFor();
  await shot('embed-link-expired');
  await page.evaluate((link) => {
    window.told.length = 0;
    window.player.link = link;
  }, await link('call'));
  await told(page, 'sealtape-ready');
  await page.waitForFunction((time) => Math.abs(window.player.currentTime - time) < 0.5, time);
  await page.evaluate(() => window.player.play());
  await played(page, time + 0.3);
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

test('each trouble is told by its code, in words, with what support asks for', async (t) => {
  const { link, server, host, run } = await origins(t);
  const { page, shot } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  await page.goto(host.page({ link: await link('gsm') }));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'codec-missing');
  assert.match(await page.getByRole('link', { name: 'Download' }).getAttribute('href'), /\/recordings\/gsm\/media\?download=gsm&link=v1\./);
  await page.goto(host.page({ link: `${server}/recordings/call/media?link=v1.x.y` }));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'forbidden');

  const [{ fingerprint }] = JSON.parse(await run(['keys', 'list', '--json']));
  await run(['keys', 'deactivate', fingerprint, '--force']);
  await page.goto(host.page({ link: await link('call') }));
  await page.waitForFunction(() => window.told.some(({ name }) => name === 'sealtape-problem' || name === 'sealtape-ready'));
  const { problem } = await told(page, 'sealtape-problem');
  assert.deepEqual([problem.code, problem.status, problem.fingerprint], ['key-deactivated', 409, fingerprint]);
  const said = await page.getByRole('alert').innerText();
  assert.ok(said.includes(fingerprint) && said.includes(problem.instance) && said.includes('has been deactivated'), said);
  await shot('embed-key-deactivated');
  // The cause is gone: one press, and it plays.
  await run(['keys', 'activate', fingerprint]);
  await page.waitForTimeout(1500);
  await page.getByRole('button', { name: 'Try again' }).click();
  await told(page, 'sealtape-ready');
  assert.equal(await page.evaluate(() => window.player.problem), null);
});

test('one element plays one recording after the other, and a moved one keeps its place', async (t) => {
  const { link, server, host } = await origins(t);
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: hasNoWaveform });
  await page.goto(host.page({ link: await link('call'), start: '9' }));
  await told(page, 'sealtape-ready');
  await page.waitForFunction(() => Math.abs(window.player.currentTime - 9) < 0.3);
  await page.evaluate(() => {
    window.told.length = 0;
    document.querySelector('main').append(window.player);
  });
  await told(page, 'sealtape-ready');
  await page.waitForFunction(() => Math.abs(window.player.currentTime - 9) < 0.3);
  await page.evaluate((link) => {
    window.told.length = 0;
    window.player.removeAttribute('start');
    window.player.link = link;
  }, await link('screen'));
  assert.equal((await told(page, 'sealtape-ready')).details.id, 'screen');
  assert.equal(await page.evaluate(() => window.player.shadowRoot.querySelector('video').videoWidth), 640);
  await page.waitForFunction(() => window.player.currentTime < 1);
});

test('a page that is not listed plays by a link, too, though it may read no description', async (t) => {
  const { link, server, host } = await origins(t, { isListed: false });
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isOfPolicy });
  await page.goto(host.page({ link: await link('call') }));
  assert.equal((await told(page, 'sealtape-ready')).details, null);
  await page.evaluate(() => window.player.play());
  await played(page, 0.3);
});

test('a token mints its own links, and is written into no address', async (t) => {
  const { server, host, run, through } = await origins(t, { isCounted: true });
  const token = (await run(['token', 'create', '--subject', 'ann', '--ttl', '1h', '--scope', 'recordings:play'])).trim().split('\n')[0];
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isRefusal });
  await page.goto(host.page({ recording: 'call', server }));
  assert.equal((await told(page, 'sealtape-problem')).problem.code, 'unauthenticated');
  await page.evaluate((token) => {
    window.told.length = 0;
    window.player.token = token;
  }, token);
  await told(page, 'sealtape-ready');
  const asked = through.take();
  assert.ok(asked.some(({ path }) => path.startsWith('/recordings/call/media?link=v1.')), JSON.stringify(asked));
  assert.ok(!JSON.stringify(asked).includes(token) && !(await page.content()).includes(token));
});

test('what it shows of a waveform is what the server answers', async (t) => {
  const { link, server, host, dir, run } = await origins(t);
  const { page, shot } = await browse(t, { hosts: [new URL(server).host] });
  // Loud in its first half and silent in its second.
  const half = path.join(dir, 'half.wav');
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'sine=frequency=300:duration=10,volume=18dB,apad=whole_dur=20', half]);
  await run(['import', half]);
  const url = await link('half');
  if ((await fetch(url.replace('/media', '/waveform'))).status === 404) {
    const peaks = Array.from({ length: 400 }, (_, at) => (at < 200 ? [-0.9, 0.9] : [0, 0]));
    await page.route('**/waveform?*', (route) => route.fulfill({ json: { channels: [peaks], duration_s: 20 }, headers: { 'Access-Control-Allow-Origin': '*' } }));
  }
  await page.goto(host.page({ link: url }));
  await told(page, 'sealtape-ready');
  await page.waitForFunction(() => {
    const canvas = window.player.shadowRoot.querySelector('canvas');
    const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const inked = (share) => {
      const x = Math.floor(width * share);
      return Array.from({ length: height }, (_, y) => data[(y * width + x) * 4 + 3]).filter((alpha) => alpha > 0).length / height;
    };
    return inked(0.25) > 0.7 && inked(0.75) < 0.1;
  });
  await shot('embed-waveform');
});

test('a page of another origin loads the file from the server itself', async (t) => {
  const { link, server, host } = await origins(t);
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: hasNoWaveform });
  await page.goto(host.page({ recording: 'call', link: new URL(await link('call')).searchParams.get('link') }, { module: `${server}/player/sealtape-player.js` }));
  // Neither origin nor server were said: where the file came from tells them.
  assert.equal((await told(page, 'sealtape-ready')).details.id, 'call');
});

test('pages that are not listed load the file from the server, too', async (t) => {
  const { link, server, host } = await origins(t, { isListed: false });
  const answer = await fetch(`${server}/player/sealtape-player.js`, { headers: { Origin: host.origin } });
  if (answer.status === 404 && process.env.SEALTAPE_PLAYER !== undefined) return t.skip('the program is older than the player, so that its headers cannot be asked');
  assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('cross-origin-resource-policy')], [200, '*', 'cross-origin']);
  const { page } = await browse(t, { hosts: [new URL(server).host], expected: isOfPolicy });
  await page.goto(host.page({ link: await link('call') }, { module: `${server}/player/sealtape-player.js` }));
  await told(page, 'sealtape-ready');
});

test('the example for integrators plays by a link of its own, and gives the lines to copy', async (t) => {
  const { url, token } = await demo(t);
  const { page, shot } = await browse(t, { expected: isRefusal, bypassCSP: true });
  await page.goto(`${url}/player/embed.html#token=${token}`);
  await page.getByLabel('Recording', { exact: true }).fill('call-reminder-mp3');
  await page.getByRole('button', { name: 'Show it' }).click();
  await page.getByText('sealtape-ready').waitFor();
  await page.getByRole('button', { name: 'Play' }).click();
  await page.waitForFunction(() => document.querySelector('sealtape-player').currentTime > 0.3);
  const lines = await page.locator('#snippet').innerText();
  assert.match(lines, /<script type="module" src="http:\/\/127\.0\.0\.1:\d+\/player\/sealtape-player\.js"><\/script>\n<sealtape-player link="[^"]*\/recordings\/call-reminder-mp3\/media\?link=v1\.[^"]+"><\/sealtape-player>/);
  assert.ok(!(await page.content()).includes(token));
  await shot('embed-example');
  await page.evaluate(() => document.querySelector('sealtape-player').pause());
  assert.deepEqual(await violations(page), []);
  await page.getByLabel('Recording', { exact: true }).fill('none-such');
  await page.getByRole('button', { name: 'Show it' }).click();
  await page.getByText('No link was given: 404, recording-not-found').waitFor();
});

// The two origins -----------------------------------------------------------------------------------------------------

/** A server that asks who plays, and a page of another origin that it lists, or does not. */
async function origins(t, { isListed = true, isCounted = false, isLong = false } = {}) {
  const host = await hostPage(t);
  const secret = randomBytes(32).toString('hex');
  const { privateKey } = generateKeyPairSync('ed25519');
  const at = system(t, { config: (dir) => {
    mkdirSync(path.join(dir, 'media'));
    writeFileSync(path.join(dir, 'link.secrets'), secret, { mode: 0o600 });
    writeFileSync(path.join(dir, 'token.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    return `
      [server]
      cors.allow_origins = ["${isListed ? host.origin : 'https://other.example'}"]
      [auth]
      mode = "token"
      link_secrets_file = "${dir}/link.secrets"
      token_key_file = "${dir}/token.key"
      [database]
      url = "sqlite://${dir}/sealtape.db"
      [storage]
      url = "file://${dir}/media"
      [definition_key]
      path = "${dir}/definition.key"
      [audit]
      path = "${dir}/audit"
    `;
  } });
  await at.run(['definition-key', 'generate']);
  await at.run(['keys', 'generate']);
  for (const [id, file] of [['call', 'call-reminder-mp3.mp3'], ['screen', 'screen-transfer-mp4.mp4'], ['gsm', 'call-archive-wav-gsm.wav']]) {
    await at.run(['import', path.join(SAMPLES, file), '--id', id]);
  }
  if (isLong) await recordings(at, ['hour.mp3']);
  const { url } = await at.serve();
  const through = isCounted ? await counting(t, url) : null;
  const server = through?.url ?? url;
  host.server = server;
  const link = async (id, ttl = '10m') => {
    const { url: given } = JSON.parse(await at.run(['link', id, '--ttl', ttl, '--json']));
    return `${server}${new URL(given).pathname}${new URL(given).search}`;
  };
  return { ...at, link, server, host, through };
}

/** A page with one element and nothing inline, as a strict host serves it. */
async function hostPage(t) {
  const host = { server: null };
  const served = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x');
    const attributes = [...searchParams].filter(([name]) => name !== 'module')
      .map(([name, value]) => `${name}="${value.replaceAll('&', '&amp;').replaceAll('"', '&quot;')}"`).join(' ');
    const files = {
      '/sealtape-player.js': ['text/javascript', () => readFileSync(MODULE)],
      '/host.js': ['text/javascript', () => HOST_SCRIPT],
      '/host.html': ['text/html', () => `<!doctype html><html lang="en"><meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width"><title>A host</title>
        <link rel="icon" href="data:,"><script src="/host.js"></script><script type="module" src="${searchParams.get('module') ?? '/sealtape-player.js'}"></script>
        <main><h1>A page of another origin</h1><sealtape-player ${attributes}></sealtape-player></main></html>`],
    };
    const [type, content] = files[pathname] ?? ['text/plain', () => ''];
    response.writeHead(pathname in files ? 200 : 404, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Security-Policy': policy(host.server) });
    response.end(content());
  });
  await new Promise((resolve) => { served.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    served.closeAllConnections();
    return new Promise((resolve) => { served.close(resolve); });
  });
  host.origin = `http://127.0.0.1:${served.address().port}`;
  host.page = (attributes, { module } = {}) => {
    const query = new URLSearchParams({ ...attributes, ...(module === undefined ? {} : { module }) });
    return `${host.origin}/host.html?${query}`;
  };
  return host;
}

/** Notes every event; `window.player` is the element. */
const HOST_SCRIPT = `
  window.told = [];
  for (const name of ['ready', 'play', 'pause', 'ended', 'problem', 'link-expired']) {
    document.addEventListener('sealtape-' + name, (event) => window.told.push({ name: event.type, detail: event.detail }));
  }
  document.addEventListener('DOMContentLoaded', () => { window.player = document.querySelector('sealtape-player'); });
`;

/** What an event told, as soon as it was. */
async function told(page, name) {
  const found = await page.waitForFunction((name) => window.told?.find((event) => event.name === name), name).catch(async (error) => {
    throw new Error(`${name} was not told, but ${JSON.stringify(await page.evaluate(() => window.told))}`, { cause: error });
  });
  return (await found.jsonValue()).detail;
}

/** What axe finds of WCAG 2.2 AA. */
async function violations(page) {
  await page.addScriptTag({ content: packageFile('axe-core/axe.min.js').toString() });
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => `${html}: ${failureSummary}`)]);
}

async function played(page, seconds) {
  await page.waitForFunction((seconds) => window.player.currentTime > seconds && !window.player.paused, seconds);
}

/** A server without waveforms says so, and the timeline stays plain. */
function hasNoWaveform(text, message) {
  return isRefusal(text) && message.location().url.includes('/waveform?');
}

/** What a page that is not listed may not read. */
function isOfPolicy(text) {
  return /CORS policy|ERR_FAILED/.test(text);
}

/** A browser writes every refusal on the console. */
function isRefusal(text) {
  return /Failed to load resource/.test(text);
}
