// The list of recordings: pages of the catalogue, or of what is looked for in it, fetched on as its end comes into view.
// It does not know how a recording is played or where the filter comes from; choosing one is a change of the address.

import * as api from './api.js';
import { element } from './dom.js';
import { isEmpty, queryOf } from './filter.js';
import { problemPanel } from './problem.js';
import { row } from './row.js';
import { counted } from './words.js';

const PAGE = 50;
/** How often the newest page is asked for again: while something is being recorded, and while nothing is. */
const LIVE_MS = 4000;
const CALM_MS = 20_000;

/** `found(recordings)` is told all that is shown, whenever that changes. */
export function createList(host, { announce, found = () => {} }) {
  let filter = {};
  let shown = [];
  let next = null;
  let chosen = null;
  /** The request that is under way; a newer intention aborts it. */
  let work = null;
  let nodes = new Map();

  const rows = element('ul.rows', { testid: 'list', onkeydown: moveFocus });
  const more = element('button.more', { type: 'button', testid: 'more', onclick: () => grow({ asked: true }) }, 'Show more');
  const foot = element('div.list-foot', {}, 'Loading …');
  host.append(rows, foot);
  // The button stays for the keyboard, and for where nothing is observed.
  const end = 'IntersectionObserver' in globalThis ? new IntersectionObserver(([entry]) => entry.isIntersecting && grow()) : null;
  keepCurrent();

  /** Looks for something else, from the newest on. */
  async function search(wanted) {
    filter = wanted;
    [shown, next] = [[], null];
    host.scrollTo(0, 0);
    say(element('p.muted', {}, isEmpty(filter) ? 'Loading …' : 'Searching …'));
    await run(async (signal) => {
      [shown, next] = await pages(null, 1, signal);
      render();
      reveal();
      announce(shown.length === 0 ? 'No recordings found' : `${counted(shown.length, 'recording')} shown${next === null ? '' : ', there are more'}`);
    }, () => search(filter));
  }

  /** Fetches again as much as is shown, and swaps it in at once, so that place and focus stay. */
  async function refresh() {
    await run(async (signal) => {
      [shown, next] = await pages(null, Math.max(1, shown.length), signal);
      render();
    }, refresh);
  }

  /** Goes on where the last page ended; `asked` by the button, the focus goes to the first new one. */
  async function grow({ asked = false } = {}) {
    if (next === null || work !== null) return;
    more.textContent = 'Loading …';
    await run(async (signal) => {
      const first = shown.length;
      const [fresh, after] = await pages(next, 1, signal);
      [shown, next] = [shown.concat(fresh), after];
      render();
      if (asked) links()[first]?.focus();
      announce(`${counted(fresh.length, 'more recording')} shown`);
    }, () => grow({ asked }));
    more.textContent = 'Show more';
  }

  /** Pages until `least` recordings have come or the end. A search goes a stretch at a time, so pages may be empty and others follow. */
  async function pages(after, least, signal) {
    const fresh = [];
    do {
      const page = await api.recordings({ limit: PAGE, after, query: queryOf(filter), signal });
      fresh.push(...page.recordings);
      after = page.next ?? null;
    } while (after !== null && fresh.length < least);
    return [fresh, after];
  }

  async function run(act, again) {
    work?.abort();
    const mine = new AbortController();
    work = mine;
    try {
      await act(mine.signal);
    } catch (error) {
      if (mine.signal.aborted) return;
      work = null;
      if (!(error instanceof api.Problem)) throw error;
      end?.unobserve(foot);
      say(problemPanel(error.document, again));
      announce(error.document.title);
    } finally {
      if (work === mine) work = null;
    }
    if (work === null) watchEnd();
  }

  /** Observed anew after each page: an end that is still in view calls for the next one. */
  function watchEnd() {
    end?.unobserve(foot);
    if (next !== null && foot.contains(more)) end?.observe(foot);
  }

  /** Asks for the newest page now and then, so that what is being recorded is seen to come and to end. */
  function keepCurrent() {
    const live = shown.some(({ state }) => state === 'recording');
    setTimeout(async () => {
      if (!document.hidden && work === null) await look().catch(() => {});
      keepCurrent();
    }, live ? LIVE_MS : CALM_MS);
  }

  async function look() {
    const before = shown;
    const page = await api.recordings({ limit: PAGE, query: queryOf(filter) });
    if (before !== shown || work !== null) return;
    const last = page.recordings.at(-1);
    const at = shown.findIndex(({ id }) => id === last?.id);
    if (page.next === null || page.next === undefined) [shown, next] = [page.recordings, null];
    else if (at >= 0) shown = page.recordings.concat(shown.slice(at + 1));
    // More has come than a page holds: what lies between is fetched as the list grows.
    else if (!page.recordings.some(({ id }) => shown.some((known) => known.id === id))) [shown, next] = [page.recordings, page.next];
    else return;
    render();
    watchEnd();
  }

  /** Rows that did not change stay as they are, so that nothing moves under a hand. */
  function render() {
    const kept = nodes;
    nodes = new Map();
    let group = null;
    const wanted = shown.map((recording) => {
      const its = recording.metadata?.group ?? null;
      const heads = its !== null && its !== group && its !== filter.group ? its : null;
      group = its;
      const print = JSON.stringify([heads, filter, recording]);
      const known = kept.get(recording.id);
      const node = known?.print === print ? known.node : row(recording, { filter, group: heads });
      nodes.set(recording.id, { print, node });
      return node;
    });
    const focused = rows.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    place(wanted);
    say(...shown.length === 0 ? emptyHint() : next === null ? [] : [more]);
    markChosen();
    if (focused !== null && document.activeElement?.dataset.id !== focused) nodes.get(focused)?.node.querySelector('a.row').focus({ preventScroll: true });
    found(shown);
  }

  function place(wanted) {
    wanted.forEach((node, at) => {
      const there = rows.children[at];
      if (there === node) return;
      if (there !== undefined && !wanted.includes(there)) there.replaceWith(node);
      else rows.insertBefore(node, there ?? null);
    });
    while (rows.children.length > wanted.length) rows.lastChild.remove();
  }

  function say(...content) {
    if (content.length === 1 && foot.childNodes.length === 1 && foot.firstChild === content[0]) return;
    foot.replaceChildren(...content);
  }

  function emptyHint() {
    if (!isEmpty(filter)) {
      return [element('p', { testid: 'nothing-found' }, 'No recording fits what is looked for.'),
        element('p.muted', {}, 'Take a filter away, or look for fewer words.')];
    }
    return [element('p', {}, 'There are no recordings yet.'),
      element('p.muted', {}, 'Seal one into the archive on the server; it appears here by itself:'),
      element('pre', {}, element('code', {}, 'sealtape import call.wav'))];
  }

  function choose(id) {
    if (id === chosen) return;
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
    if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    all[Math.min(Math.max(to, 0), all.length - 1)].focus();
  }

  function links() {
    return [...rows.querySelectorAll('a.row')];
  }

  return {
    search, refresh, choose,
    chosen: () => chosen,
    /** To that recording, or the one that is chosen, else to the first. */
    focus(id = chosen) {
      (nodes.get(id)?.node.querySelector('a.row') ?? links()[0])?.focus();
    },
  };
}
