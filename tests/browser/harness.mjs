// Starts the program and a Chromium for a test, and sees that a page did nothing that it must not: no error on the
// console, no request to another host, nothing that its policy forbids.
//
//   SEALTAPE_PROGRAM      the program to test; target/debug/sealtape
//   SEALTAPE_NODE_MODULES where package.json was installed; tests/run sets it
//   SEALTAPE_SCREENSHOTS  where pictures go; target/screenshots
//   SEALTAPE_PLAYER       a folder whose files stand in for the player in the program: to work on the page without a build

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const PROGRAM = path.resolve(ROOT, process.env.SEALTAPE_PROGRAM ?? 'target/debug/sealtape');
const SCREENSHOTS = path.resolve(ROOT, process.env.SEALTAPE_SCREENSHOTS ?? 'target/screenshots');
const PATIENCE_MS = 30_000;

/** Loads a package that package.json names. */
export const packages = createRequire(path.resolve(ROOT, process.env.SEALTAPE_NODE_MODULES ?? 'node_modules', 'x.js'));

/** A file of an npm package, by its path in `node_modules`. */
export function packageFile(name) {
  return readFileSync(path.resolve(ROOT, process.env.SEALTAPE_NODE_MODULES ?? 'node_modules', name));
}

const ends = new WeakMap();

/** Clears up when the test ends: what came last goes first, so that no browser outlives its server, no server its folder. */
export function atEnd(t, act) {
  if (!ends.has(t)) {
    ends.set(t, []);
    t.after(async () => {
      const failures = [];
      for (const each of ends.get(t).reverse()) await Promise.resolve().then(each).catch((error) => failures.push(error));
      if (failures.length > 0) throw failures[0];
    });
  }
  ends.get(t).push(act);
}

/** A folder that is gone when the test ends. */
export function folder(t) {
  const made = mkdtempSync(path.join(tmpdir(), 'sealtape-test-'));
  atEnd(t, () => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** `sealtape demo`: `{ url, token }`. */
export async function demo(t) {
  const { process: child, line } = await start(t, ['demo', '--listen', '127.0.0.1:0'], /Open (http\S+)/);
  const [url, token] = line[1].split('/#token=');
  return { url, token, child };
}

/** A folder of its own, made with `sealtape` commands: `{ dir, run(args, { input }) }`. */
export function system(t, { config } = {}) {
  const dir = folder(t);
  const file = path.join(dir, 'sealtape.toml');
  if (config !== undefined) writeFileSync(file, config(dir));
  const place = config === undefined ? ['--data-dir', path.join(dir, 'data')] : ['--config', file];
  return {
    dir,
    /** Runs a command to its end; its standard output. */
    run: (args, { input } = {}) => new Promise((resolve, reject) => {
      const child = spawn(PROGRAM, [...args, ...place], { env: environment() });
      const [out, err] = [[], []];
      child.stdout.on('data', (part) => out.push(part));
      child.stderr.on('data', (part) => err.push(part));
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve(Buffer.concat(out).toString());
        else reject(new Error(`sealtape ${args.join(' ')}: ${code}: ${Buffer.concat(err)}`));
      });
      child.stdin.end(input);
    }),
    /** `sealtape serve`: `{ url, child, stop() }`. */
    serve: async (listen = '127.0.0.1:0') => {
      const { process: child, line } = await start(t, ['serve', '--listen', listen, ...place], /(http:\/\/[^\s"]+)/);
      return { url: line[1].replace(/\/$/, ''), child, stop: () => ended(child, 'SIGTERM') };
    },
  };
}

/**
 * A Chromium with a page: `{ browser, context, page, shot(name), checked() }`. At the end of the test whatever the page
 * must not have done fails it, unless `expected(text)` says of a console line that it was to come.
 */
export async function browse(t, { expected = () => false, hosts = [], ...options } = {}) {
  const { chromium } = packages('playwright-core');
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
  assert.ok(executablePath, 'Debian\'s chromium is needed');
  const args = ['--no-sandbox', '--disable-gpu', '--mute-audio', '--autoplay-policy=no-user-gesture-required'];
  const browser = await chromium.launch({ executablePath, args });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints = [];
  const watch = (page) => {
    page.on('console', (message) => {
      const text = message.text();
      if (['error', 'warning'].includes(message.type()) && !expected(text, message)) complaints.push(`console: ${text}`);
    });
    page.on('pageerror', (error) => complaints.push(`script: ${error.stack ?? error}`));
    page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      const own = new URL(page.url() === 'about:blank' ? request.url() : page.url()).host;
      if (protocol.startsWith('http') && host !== own && !hosts.includes(host)) complaints.push(`a request to ${host}`);
    });
  };
  context.on('page', watch);
  await standIn(context);
  const page = await context.newPage();
  const checked = () => assert.deepEqual(complaints.splice(0), [], 'the page did what it must not');
  atEnd(t, async () => {
    await browser.close();
    checked();
  });
  mkdirSync(SCREENSHOTS, { recursive: true });
  return {
    browser, context, page, checked,
    /** A picture, to be looked at by people. */
    shot: (name) => page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) }),
  };
}

/** Serves the player's files from a folder, under the policy that the server answers with. */
async function standIn(context) {
  if (process.env.SEALTAPE_PLAYER === undefined) return;
  const from = path.resolve(ROOT, process.env.SEALTAPE_PLAYER);
  const types = { js: 'text/javascript', css: 'text/css', html: 'text/html' };
  await context.route((url) => url.pathname === '/' || url.pathname.startsWith('/player/'), async (route) => {
    const { pathname, origin } = new URL(route.request().url());
    const name = pathname === '/' ? 'index.html' : pathname.slice('/player/'.length);
    const file = path.join(from, name);
    if (!existsSync(file)) return route.continue();
    const asking = route.request().headers().origin;
    const like = await fetch(`${origin}/`, { headers: asking === undefined ? {} : { Origin: asking } });
    const headers = { ...Object.fromEntries(like.headers), 'content-type': `${types[name.split('.').pop()]}; charset=utf-8` };
    delete headers['content-length'];
    // The demo marks its page.
    const mark = name === 'index.html' && (await fetch(`${origin}/demo/encryption`)).ok;
    return route.fulfill({ status: 200, headers, body: mark ? readFileSync(file, 'utf8').replace('<body>', '<body data-demo>') : readFileSync(file) });
  });
}

/** Starts the program and waits for a line; the process ends with the test. */
async function start(t, args, wanted) {
  const child = spawn(PROGRAM, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
  // In order, so that the demo removes its folder; nobody waits for what others still have to hear.
  atEnd(t, () => ended(child, args[0] === 'demo' ? 'SIGTERM' : 'SIGKILL'));
  let said = '';
  const line = await new Promise((resolve, reject) => {
    const patience = setTimeout(() => reject(new Error(`sealtape ${args[0]} said only: ${said}`)), PATIENCE_MS);
    const hear = (part) => {
      said += part;
      const found = wanted.exec(said);
      if (found === null) return;
      clearTimeout(patience);
      resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('exit', (code) => reject(new Error(`sealtape ${args[0]} ended with ${code}: ${said}`)));
  });
  return { process: child, line };
}

function ended(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill(signal);
  });
}

/** Settings of whoever runs the tests have no say in them. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SEALTAPE_')));
}
