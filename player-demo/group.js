// The other recordings of a call: finds them by the group, shows them as links, and picks the one that plays along.
// It does not play anything itself (together.js keeps two in step).

import * as api from './api.js';
import { format } from './address.js';
import { element, icon } from './dom.js';
import { clock, kind, playerFor, recordedAt } from './words.js';

/** More of one group than this are looked at in the list. */
const MOST = 20;

/** The others of the recording's group, oldest first; none when it is in no group. */
export async function othersOf(recording, { signal } = {}) {
  const group = recording.metadata?.group;
  if (!group) return [];
  const found = [];
  let after = null;
  do {
    const page = await api.recordings({ limit: MOST, after, query: { group }, signal });
    found.push(...page.recordings);
    after = page.next ?? null;
  } while (after !== null && found.length < MOST);
  return found.filter(({ id }) => id !== recording.id).reverse();
}

/** Links to them, and to the whole group in the list; null where there are none. */
export function groupPanel(recording, others) {
  if (others.length === 0) return null;
  const { group } = recording.metadata;
  return element('section.group', { testid: 'group', 'aria-label': `Group ${group}` },
    element('h3', {}, icon('group'), element('span', {}, 'Of the same call: '), element('a', { testid: 'group-link', href: format({ filter: { group } }) }, group)),
    element('ul.group-rows', {}, others.map((other) => element('li', {},
      element('a', { testid: 'group-row', href: format({ id: other.id }) }, other.id),
      element('span.muted', {}, [kind(other), Number.isFinite(other.metadata?.duration_s) && clock(other.metadata.duration_s)].filter(Boolean).join(' · '))))));
}

/**
 * The one that plays along: sound for a picture, a picture for sound, and of several the one that overlaps most.
 * `{ recording, offset }`, where `offset` is how many seconds later it began; null where none fits.
 */
export function companionOf(recording, others) {
  const family = playerFor(recording);
  if (family === null || recording.state === 'recording') return null;
  const fitting = others
    .filter((other) => other.playable !== false && other.state !== 'recording' && [family, playerFor(other)].sort().join() === 'audio,video')
    .map((other) => ({ recording: other, offset: offsetOf(recording, other) }))
    .map((each) => ({ ...each, shared: overlap(recording, each) }))
    .filter(({ shared }) => shared > 0);
  fitting.sort((one, other) => other.shared - one.shared);
  return fitting[0] ?? null;
}

/** Recorders that say no start of their own are taken to have begun together. */
function offsetOf(recording, other) {
  const said = recording.metadata?.started_at && other.metadata?.started_at;
  const offset = said ? (Date.parse(recordedAt(other)) - Date.parse(recordedAt(recording))) / 1000 : 0;
  return Number.isFinite(offset) ? offset : 0;
}

function overlap(recording, { recording: other, offset }) {
  const length = recording.metadata?.duration_s ?? Infinity;
  const its = other.metadata?.duration_s ?? Infinity;
  return Math.min(length, offset + its) - Math.max(0, offset);
}
