// The facts of one recording, as a list of terms and as badges: what it is, how it is kept, what its recorder said about it.
// It does not know whether the recording plays.

import { format } from './address.js';
import { sidecarUrl } from './api.js';
import { badge, copyButton, element, fact, freshLink } from './dom.js';
import { bytes, clock, kind, moment, shortFingerprint } from './words.js';

export function factsOf(recording) {
  const said = recording.metadata ?? {};
  return element('dl.facts', { testid: 'facts' },
    fact('ID', element('code', {}, recording.id)),
    fact('Type', `${kind(recording)} `, element('span.muted', {}, `(${recording.media_type})`)),
    fact('Length', lengthOf(recording)),
    Number.isFinite(said.duration_s) && fact('Duration', clock(said.duration_s)),
    said.started_at && fact('Recorded', timeOf(said.started_at)),
    recording.created_at && fact('Stored', timeOf(recording.created_at)),
    fact('Kept', recording.sealed ? 'Sealed (encrypted)' : 'Plain (not encrypted)'),
    recording.fingerprint && fact('Key fingerprint',
      element('code', { title: recording.fingerprint }, shortFingerprint(recording.fingerprint)),
      copyButton('Copy', recording.fingerprint, 'fingerprint')),
    fact('State', recording.mended ? `${recording.state}, mended` : recording.state),
    said.agent && fact('Agent', search('agent', said.agent)),
    said.group && fact('Group', search('group', said.group)),
    said.direction && fact('Direction', said.direction),
    said.parties?.length > 0 && fact('Parties', said.parties.join(', ')),
    said.tags?.length > 0 && fact('Tags', element('ul.tags', {}, said.tags.map((tag) => element('li', {}, search('tag', tag))))),
    recording.sidecars?.length > 0 && fact('Beside it', sidecarsOf(recording)));
}

/** A link to all recordings of the same. */
function search(name, value) {
  return element('a', { href: format({ filter: { [name]: value } }) }, value);
}

export function sealBadge(recording) {
  return recording.sealed ? badge('sealed', 'sealed', 'lock') : badge('plain', 'plain');
}

/** Nothing for a complete recording: that is the ordinary state. */
export function stateBadge(recording) {
  if (!recording.state || recording.state === 'complete') return null;
  return badge(recording.state === 'recording' ? 'live' : 'partial', recording.state);
}

function lengthOf(recording) {
  const exact = recording.media_len;
  if (!Number.isFinite(exact)) return 'unknown';
  const so = recording.state === 'recording' ? ' so far' : '';
  if (exact < 1000) return bytes(exact) + so;
  return [bytes(exact) + so, element('span.muted', {}, ` (${exact.toLocaleString()} bytes)`)];
}

function timeOf(time) {
  return element('time', { datetime: time, title: time }, moment(time));
}

function sidecarsOf(recording) {
  return element('ul.sidecars', {}, recording.sidecars.map((name) => element('li', {},
    freshLink('a', () => sidecarUrl(recording.id, name), { target: '_blank', rel: 'noopener' }, name))));
}
