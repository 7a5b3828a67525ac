// The QA page: runs every check of the server and of a choice of its recordings with one button, shows what should happen
// and what did, and gives it as a report. It speaks only the public HTTP interface; the checks are in qa-*.js.

import { demoEncryption } from './api.js';
import { copyButton, element } from './dom.js';
import { ask } from './qa-ask.js';
import { checksOf, DEMO_FAILURES } from './qa-recording.js';
import { checksOfServer } from './qa-server.js';
import { takeToken } from './session.js';

const form = document.getElementById('choice');
const summary = document.getElementById('summary');
const rows = document.getElementById('rows');
const actions = document.getElementById('actions');
const run = document.getElementById('run');
const onlyFaults = document.getElementById('only-faults');

let running = null;
let report = null;

takeToken();
addEventListener('hashchange', takeToken);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (running !== null) running.abort();
  else start();
});
onlyFaults.addEventListener('change', () => rows.classList.toggle('only-faults', onlyFaults.checked));
run.disabled = false;

async function start() {
  const { signal } = running = new AbortController();
  report = begin();
  for (const group of [...rows.tBodies]) group.remove();
  actions.hidden = true;
  run.textContent = 'Stop';
  try {
    await runAll(signal);
    report.finished = true;
  } catch (error) {
    if (!signal.aborted) report.cases.push(show('run', { id: 'run', expected: 'the checks can be run' }, { ok: false, seen: error.message, requestId: null }));
  }
  running = null;
  report.summary = count();
  run.textContent = 'Run the checks';
  say(report.finished ? 'Done' : 'Stopped');
  offer();
}

async function runAll(signal) {
  const isDemo = await demoEncryption() !== null;
  report.server_version = (await ask('/openapi.json', { signal, enough: 1 << 22 })).document().info?.version ?? null;
  const chosen = await choose(signal);
  let playable = null;
  for (const [at, id] of chosen.entries()) {
    say(`Recording ${at + 1} of ${chosen.length}`);
    const known = isDemo ? DEMO_FAILURES[id] ?? null : undefined;
    const checks = await checksOf(id, { known, isHeard: form.elements.heard.checked, signal });
    const results = await runChecks(id, checks, signal);
    if (playable === null && results.find((it) => it.id === 'first-bytes')?.ok && results.some((it) => it.id === 'past-the-end')) playable = id;
  }
  say('The server');
  await runChecks('server', checksOfServer({ playable, isDemo, signal }), signal);
}

async function runChecks(subject, checks, signal) {
  const results = [];
  for (const check of checks) {
    signal.throwIfAborted();
    const begun = performance.now();
    // What throws is a fault, too: no answer, or one that was cut.
    const result = await check.run().catch((error) => {
      signal.throwIfAborted();
      return { ok: false, seen: error.message, requestId: null };
    });
    result.ms ??= Math.round(performance.now() - begun);
    results.push(show(subject, check, result));
  }
  report.cases.push(...results);
  return results;
}

/** IDs of the catalogue's newest, of those that a search finds. Pages may be empty and yet not the last. */
async function choose(signal) {
  const wanted = Math.max(1, Number(form.elements.many.value) || 1);
  const found = [];
  let after = null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(100, wanted - found.length)) });
    if (form.elements.search.value.trim() !== '') query.set('q', form.elements.search.value.trim());
    if (after !== null) query.set('after', after);
    const answer = await ask(`/recordings?${query}`, { signal, enough: 1 << 22 });
    if (answer.status !== 200) throw new Error(`the catalogue answers ${answer.status}, ${answer.document().code}: ${answer.document().detail ?? ''}`);
    const { recordings, next } = answer.document();
    found.push(...recordings.map(({ id }) => id));
    after = next ?? null;
  } while (after !== null && found.length < wanted);
  return found.slice(0, wanted);
}

// What is shown, and the report ---------------------------------------------------------------------------------------

function begin() {
  return {
    report: 'sealtape-qa', report_version: 1, run_at: new Date().toISOString(), finished: false, server: location.origin, server_version: null,
    user_agent: navigator.userAgent, search: form.elements.search.value.trim(), recordings: Number(form.elements.many.value), summary: null, cases: [],
  };
}

/** Adds a row, under the heading of what it is about; the case as the report has it. */
function show(subject, { id, expected }, { ok, seen, requestId, ms }) {
  let group = [...rows.tBodies].find(({ dataset }) => dataset.subject === subject);
  if (group === undefined) {
    const name = subject === 'server' ? 'The server' : subject;
    group = element('tbody', { 'data-subject': subject }, element('tr.subject', {}, element('th', { colspan: 5, scope: 'rowgroup' }, name)));
    rows.append(group);
  }
  const [kind, word] = ok === null ? ['left', 'left out'] : ok ? ['good', 'as expected'] : ['bad', 'fault'];
  group.append(element(`tr.${kind}`, { testid: 'case', 'data-case': id, 'data-ok': String(ok) },
    element('th', { scope: 'row' }, id),
    element('td', { 'data-label': 'Should' }, expected),
    element('td', { 'data-label': 'Did' }, seen, requestId && element('span.request', {}, `request ${requestId}`)),
    element('td', {}, element('span.verdict', {}, word)),
    element('td.ms', {}, Number.isFinite(ms) ? `${ms} ms` : '')));
  if (ok === false) group.classList.add('has-fault');
  return { subject, id, expected, seen, ok, request_id: requestId ?? null, ms: ms ?? null };
}

function count() {
  const of = (ok) => report.cases.filter((it) => it.ok === ok).length;
  return { as_expected: of(true), faults: of(false), left_out: of(null) };
}

function say(where) {
  const { as_expected, faults, left_out } = count();
  const recordings = new Set(report.cases.map(({ subject }) => subject)).size;
  summary.className = faults > 0 ? 'bad' : report.finished ? 'good' : '';
  summary.textContent = `${where}: ${as_expected} as expected, ${faults === 1 ? '1 fault' : `${faults} faults`}, ${left_out} left out${recordings === 0 ? ', nothing to check yet' : ''}.`;
}

/** The report, to keep: it names neither token nor links. */
function offer() {
  const text = JSON.stringify(report, null, 1);
  const name = `sealtape-qa-${report.run_at.replace(/[:.]/g, '-')}.json`;
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  const [old] = actions.children;
  if (old?.href) URL.revokeObjectURL(old.href);
  actions.replaceChildren(element('a.button', { href: url, download: name, testid: 'report' }, 'Download the report (JSON)'), copyButton('Copy the report', text));
  actions.hidden = false;
}
