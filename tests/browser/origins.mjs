// Two origins for tests of <sealtape-player>: a server that asks who plays, and a strict page elsewhere that embeds it.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';

import { counting } from './counting.mjs';
import { packageFile, ROOT, system } from './harness.mjs';
import { recordings } from './recordings.mjs';

export const MODULE = path.join(ROOT, 'player-demo/sealtape-player.js');
const SAMPLES = path.join(ROOT, 'player-demo/samples');
/** What a strict host allows: its own scripts, media and answers of the one server, no inline style. */
const policy = (server) => `default-src 'none'; script-src 'self' ${server}; style-src 'self'; img-src data:; media-src ${server}; connect-src ${server}`;

/** A server that asks who plays, and a page of another origin that it lists, or does not. */
export async function origins(t, { isListed = true, isCounted = false, isLong = false } = {}) {
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
export async function told(page, name) {
  const found = await page.waitForFunction((name) => window.told?.find((event) => event.name === name), name).catch(async (error) => {
    throw new Error(`${name} was not told, but ${JSON.stringify(await page.evaluate(() => window.told))}`, { cause: error });
  });
  return (await found.jsonValue()).detail;
}

/** What axe finds of WCAG 2.2 AA. */
export async function violations(page) {
  await page.addScriptTag({ content: packageFile('axe-core/axe.min.js').toString() });
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => `${html}: ${failureSummary}`)]);
}

export async function played(page, seconds) {
  await page.waitForFunction((seconds) => window.player.currentTime > seconds && !window.player.paused, seconds);
}

/** What a page that is not listed may not read. */
export function isOfPolicy(text) {
  return /CORS policy|ERR_FAILED/.test(text);
}

/** A browser writes every refusal on the console. */
export function isRefusal(text) {
  return /Failed to load resource/.test(text);
}
