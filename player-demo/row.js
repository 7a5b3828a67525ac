// One recording as a row of the list: a real link to it, and above the first of a group a link to the whole group.
// It does not know the list; the address that it links to keeps the search by which it was found.

import { format } from './address.js';
import { element, icon } from './dom.js';
import { sealBadge, stateBadge } from './facts.js';
import { sentenceOf } from './trouble.js';
import { bytes, clock, kind, moment, recordedAt } from './words.js';

/** The row; `group` is the group that it is the first of, or null. */
export function row(recording, { filter, group }) {
  const seconds = recording.metadata?.duration_s;
  const time = recordedAt(recording);
  const agent = recording.metadata?.agent;
  return element('li', {},
    group && groupLink(group),
    element('a.row', { testid: 'row', 'data-id': recording.id, 'data-group': recording.metadata?.group, href: format({ id: recording.id, filter }) },
      element('span.row-head', {},
        element('span.row-id', {}, recording.id),
        element('span.badges', {}, stateBadge(recording), sealBadge(recording))),
      element('span.row-facts', {},
        element('span', {}, kind(recording)),
        agent && element('span', {}, agent),
        Number.isFinite(seconds) && element('span', {}, clock(seconds)),
        // Of what is being recorded the catalogue does not know the length yet.
        recording.state !== 'recording' && element('span', {}, bytes(recording.media_len)),
        time && element('time', { datetime: time }, moment(time))),
      recording.playable === false && element('span.row-problem', { testid: 'row-problem' },
        icon('warning'), element('span', {}, sentenceOf(recording.problem ?? {}).title))));
}

function groupLink(group) {
  return element('a.row-group', { testid: 'row-group', href: format({ filter: { group } }) }, icon('group'), element('span', {}, `Group ${group}`));
}
