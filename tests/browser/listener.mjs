// A person at the player's page, for tests: opens it, chooses a recording, reads what the element says, waits for it.
// What is served is the real server's. It knows the page by the names of its parts (data-testid).

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { browse, packages } from './harness.mjs';

const PATIENCE_MS = 15_000;

/** A page of `browse`, with what a listener does. */
export async function listener(t, url, options = {}) {
  const opened = await browse(t, options);
  const { page } = opened;
  page.setDefaultTimeout(PATIENCE_MS);
  const at = (id) => page.getByTestId(id);
  return {
    ...opened, at,
    /** Goes to an address of the page; a fresh load even when only the fragment differs. */
    goto: async (hash = '') => {
      await page.goto('about:blank');
      await page.goto(`${url}/${hash}`);
    },
    ids: () => at('row').evaluateAll((rows) => rows.map((row) => row.dataset.id)),
    /** What the media element (`media`, or `companion`) says: plain values of the names asked for. */
    media: (names, id = 'media') => at(id).evaluate((element, wanted) => Object.fromEntries(wanted.map((name) => [name, element[name]])), names),
    ready: () => page.waitForFunction(() => document.querySelector('[data-testid=media]')?.readyState >= 1),
    /** Waits until a condition on the media element holds: an expression of `media`. */
    until: (expression, id = 'media') => eventually(
      () => page.evaluate(`(() => { const media = document.querySelector('[data-testid=${id}]'); return media !== null && (${expression}); })()`), `${id}: ${expression}`),
    /** The text of the clock once it fits. */
    clockSays: (pattern) => page.waitForFunction(([source]) => new RegExp(source).test(document.querySelector('[data-testid=time]')?.textContent ?? ''), [pattern.source]),
  };
}

/** Asks until the answer is true. */
export async function eventually(ask, what, patience = PATIENCE_MS) {
  const begun = Date.now();
  while (!(await ask())) {
    assert.ok(Date.now() - begun < patience, `never came true: ${what}`);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

/** Seals a recording with what is known about it. */
export async function seal(system, id, bytes, meta = {}, type = 'audio/wav') {
  const [file, about] = [path.join(system.dir, `${id}.media`), path.join(system.dir, `${id}.json`)];
  writeFileSync(file, bytes);
  writeFileSync(about, JSON.stringify(meta));
  await system.run(['import', file, '--id', id, '--meta', about, '--media-type', type]);
}

/** Nothing that axe knows may be wrong with the page as it stands. */
export async function assertReachable(page, state) {
  // What the policy of the page forbids to its own scripts, the tester may: axe runs outside of it.
  await page.evaluate(`${packages('axe-core').source}; 0`);
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const said = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`).join('\n')}`);
  assert.deepEqual(said, [], state);
}
