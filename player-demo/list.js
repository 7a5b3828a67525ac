// The list of recordings: pages of the catalogue as rows, each a real link to `#/recordings/ID`.
// It does not know how a recording is played; choosing one is a change of the address.

import * as api from './api.js';
import { element, icon } from './dom.js';
import { sealBadge, stateBadge } from './facts.js';
import { problemPanel } from './problem.js';
import { bytes, clock, kind, moment, recordedAt } from './words.js';

const PAGE = 50;

export function createList(host, announce) {
  let shown = [];
  let next = null;
  let chosen = null;
  let turn = 0;
  let told = false;

  const rows = element('ul.rows', { testid: 'list', onkeydown: moveFocus });
  const more = element('button.more', { type: 'button', testid: 'more', onclick: showMore }, 'Show more');
  const foot = element('div.list-foot', {}, 'Loading …');
  host.append(rows, foot);

  /** Fetches again as much as is shown, and swaps it in at once, so that place and focus stay. */
  async function refresh() {
    const mine = ++turn;
    try {
      const fresh = [];
      let after = null;
      do {
        const page = await api.recordings({ limit: PAGE, after });
        fresh.push(...page.recordings);
        after = page.next ?? null;
      } while (after !== null && fresh.length < shown.length);
      if (mine !== turn) return;
      [shown, next] = [fresh, after];
      render();
      if (!told) announce(shown.length === 0 ? 'No recordings yet' : `${shown.length} recordings shown${next === null ? '' : ', there are more'}`);
      if (!told) reveal();
      told = true;
    } catch (error) {
      if (mine === turn) fail(error, refresh);
    }
  }

  async function showMore() {
    const mine = ++turn;
    more.disabled = true;
    try {
      const page = await api.recordings({ limit: PAGE, after: next });
      if (mine !== turn) return;
      const first = shown.length;
      shown = shown.concat(page.recordings);
      next = page.next ?? null;
      rows.append(...page.recordings.map(row));
      renderFoot();
      markChosen();
      links()[first]?.focus();
      announce(`${page.recordings.length} more recordings`);
    } catch (error) {
      if (mine === turn) fail(error, showMore);
    } finally {
      more.disabled = false;
    }
  }

  function render() {
    const focused = rows.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    rows.replaceChildren(...shown.map(row));
    renderFoot();
    markChosen();
    if (focused !== null) links().find((link) => link.dataset.id === focused)?.focus({ preventScroll: true });
  }

  function renderFoot() {
    foot.replaceChildren(...(shown.length === 0 ? emptyHint() : next === null ? [] : [more]));
  }

  function fail(error, again) {
    if (!(error instanceof api.Problem)) throw error;
    foot.replaceChildren(problemPanel(error.document, again));
    announce(error.document.title);
  }

  function choose(id) {
    chosen = id;
    markChosen();
    reveal();
  }

  function reveal() {
    rows.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }

  function markChosen() {
    for (const link of links()) {
      if (link.dataset.id === chosen) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  }

  function moveFocus(event) {
    const all = links();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    all[Math.min(Math.max(to, 0), all.length - 1)].focus();
  }

  function links() {
    return [...rows.querySelectorAll('a')];
  }

  return { refresh, choose };
}

function row(recording) {
  const seconds = recording.metadata?.duration_s;
  const time = recordedAt(recording);
  return element('li', {},
    element('a.row', { testid: 'row', 'data-id': recording.id, href: `#/recordings/${encodeURIComponent(recording.id)}` },
      element('span.row-head', {},
        element('span.row-id', {}, recording.id),
        element('span.badges', {}, stateBadge(recording), sealBadge(recording))),
      element('span.row-facts', {},
        element('span', {}, kind(recording)),
        Number.isFinite(seconds) && element('span', {}, clock(seconds)),
        element('span', {}, bytes(recording.media_len)),
        time && element('time', { datetime: time }, moment(time))),
      recording.playable === false && element('span.row-problem', { testid: 'row-problem' },
        icon('warning'), element('span', {}, recording.problem?.title ?? 'Cannot be played'))));
}

function emptyHint() {
  return [
    element('p', {}, 'There are no recordings yet.'),
    element('p.muted', {}, 'Seal one into the archive on the server, then reload this page:'),
    element('pre', {}, element('code', {}, 'sealtape import call.wav')),
  ];
}
