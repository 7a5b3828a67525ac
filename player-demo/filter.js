// What is looked for: a search field, a fold of filters, and what is set now as buttons that take it away again.
// It does not know what is found: it hands on a filter by names (address.js) and shows the one that the address holds.

import { FILTER_NAMES } from './address.js';
import { element, icon } from './dom.js';
import { day } from './words.js';

const TYPING_PAUSE_MS = 250;
/** What the server reads at most: words of two letters and more. */
const WORD_LEN_MIN = 2;
const WORDS_MAX = 8;

/**
 * Builds the form. `changed(filter, { typing })` is called with every new wish; `typing` while words are being typed,
 * so that not each letter becomes a step of the history. `down()` is called by the arrow that leads out of the search.
 */
export function createFilter(host, { changed, down }) {
  let filter = {};
  let pause = 0;

  const search = element('input.search', {
    type: 'search', id: 'search', testid: 'search', maxlength: 256, autocomplete: 'off', spellcheck: 'false',
    placeholder: 'Agent, party, tag, ID …', 'aria-describedby': 'search-said', oninput: typed, onkeydown: leave,
  });
  const said = element('p.search-said', { id: 'search-said', hidden: true }, `Words of ${WORD_LEN_MIN} letters and more are looked for.`);
  const fields = {
    from: element('input', { type: 'date', id: 'from', testid: 'from', onchange: chosen }),
    to: element('input', { type: 'date', id: 'to', testid: 'to', onchange: chosen }),
    agent: element('input', { type: 'text', id: 'agent', testid: 'agent', maxlength: 256, list: 'agents', autocomplete: 'off', onchange: chosen }),
    tag: element('input', { type: 'text', id: 'tag', testid: 'tag', maxlength: 256, list: 'tags', autocomplete: 'off', onchange: chosen }),
    state: element('select', { id: 'state', testid: 'state', onchange: chosen },
      Object.entries(STATES).map(([value, words]) => element('option', { value }, words))),
  };
  const agents = element('datalist', { id: 'agents' });
  const tags = element('datalist', { id: 'tags' });
  const count = element('span.count', { hidden: true });
  const chips = element('ul.chips', { testid: 'chips', 'aria-label': 'Filters that are set' });
  const fold = element('details.filters', { testid: 'filters' },
    element('summary', { testid: 'filters-toggle' }, 'Filters', count),
    element('div.filter-grid', {},
      field('From', fields.from), field('To', fields.to), field('Agent', fields.agent), field('Tag', fields.tag), field('State', fields.state)),
    agents, tags);

  host.append(element('form.filter', { role: 'search', 'aria-label': 'Recordings', onsubmit: submitted },
    element('label.unseen', { for: 'search' }, 'Search the recordings'),
    element('div.search-line', {}, icon('search'), search),
    said, fold, chips));

  function typed() {
    clearTimeout(pause);
    pause = setTimeout(() => set({ ...filter, q: search.value.trim() }, { typing: true }), TYPING_PAUSE_MS);
  }

  function chosen() {
    clearTimeout(pause);
    const wanted = { ...filter, q: search.value.trim() };
    for (const [name, input] of Object.entries(fields)) wanted[name] = input.value.trim();
    set(wanted);
  }

  function submitted(event) {
    event.preventDefault();
    clearTimeout(pause);
    set({ ...filter, q: search.value.trim() }, { typing: true });
  }

  /** Escape empties the field, and leaves it when it is empty. */
  function leave(event) {
    if (!['Escape', 'ArrowDown'].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === 'ArrowDown') {
      down();
      return;
    }
    if (search.value === '') {
      search.blur();
      return;
    }
    search.value = '';
    submitted(event);
  }

  function set(wanted, { typing = false } = {}) {
    const next = {};
    for (const name of FILTER_NAMES) if (wanted[name]) next[name] = wanted[name];
    if (same(next, filter)) return;
    show(next, typing);
    changed(next, { typing });
  }

  /** Shows a filter, as the address holds it. What is being typed is left alone. */
  function show(next, isTyping = false) {
    filter = next;
    if (document.activeElement !== search || search.value.trim() !== (next.q ?? '')) search.value = next.q ?? '';
    for (const [name, input] of Object.entries(fields)) {
      // Words that were typed a moment ago do not take away what is typed into another field by now.
      if (isTyping && document.activeElement === input) continue;
      input.value = name === 'from' || name === 'to' ? (next[name] ?? '').slice(0, 10) : next[name] ?? '';
    }
    said.hidden = words(next.q) === words(next.q, 1);
    const setNames = FILTER_NAMES.filter((name) => name !== 'q' && next[name]);
    count.hidden = setNames.length === 0;
    count.textContent = setNames.length === 0 ? '' : `${setNames.length} set`;
    chips.replaceChildren(...setNames.map(chip));
    chips.hidden = setNames.length === 0;
  }

  function chip(name) {
    const text = `${LABELS[name]}: ${sayValue(name, filter[name])}`;
    const remove = () => {
      clearTimeout(pause);
      set({ ...filter, q: search.value.trim(), [name]: '' });
      (chips.querySelector('button') ?? search).focus();
    };
    return element('li', {}, element('button.chip', { type: 'button', testid: `chip-${name}`, 'aria-label': `Remove the filter ${text}`, onclick: remove },
      element('span', {}, text), icon('cross')));
  }

  return {
    show,
    focus() {
      search.focus();
      search.select();
    },
    /** Offers the agents and tags that were seen. */
    offer(recordings) {
      const known = (list) => [...new Set(list)].sort().slice(0, 200).map((value) => element('option', { value }));
      agents.replaceChildren(...known(recordings.flatMap(({ metadata }) => metadata?.agent ?? [])));
      tags.replaceChildren(...known(recordings.flatMap(({ metadata }) => metadata?.tags ?? [])));
    },
  };
}

/**
 * A filter as the server takes it. Days are the reader's own, and the last one is meant whole;
 * words too short to look for are left out.
 */
export function queryOf(filter) {
  const query = { ...filter, q: words(filter.q), from: bound(filter.from, 0), to: bound(filter.to, 1) };
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value));
}

/** Whether nothing is looked for. */
export function isEmpty(filter) {
  return Object.keys(filter).length === 0;
}

export function same(one, other) {
  return FILTER_NAMES.every((name) => (one[name] ?? '') === (other[name] ?? ''));
}

function words(text = '', shortest = WORD_LEN_MIN) {
  return text.split(/\s+/).filter((word) => [...word].length >= shortest).slice(0, WORDS_MAX).join(' ');
}

function bound(value, daysOn) {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value ?? '')) return value;
  const [year, month, date] = value.split('-').map(Number);
  const midnight = new Date(year, month - 1, date + daysOn);
  return Number.isNaN(midnight.getTime()) ? value : midnight.toISOString();
}

function field(label, input) {
  return element('label.field', { for: input.id }, element('span', {}, label), input);
}

function sayValue(name, value) {
  if (name === 'state') return STATES[value] ?? value;
  return name === 'from' || name === 'to' ? day(value) : value;
}

const STATES = { '': 'Any', complete: 'Complete', recording: 'Being recorded', unfinished: 'Ended early' };

const LABELS = { from: 'From', to: 'To', agent: 'Agent', tag: 'Tag', group: 'Group', state: 'State' };
