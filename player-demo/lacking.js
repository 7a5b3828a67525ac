// Says that this browser cannot play a recording's format, by name, with the download as the way out.
// It does not know why the question came up; the caller hands in the buttons.

import * as api from './api.js';
import { ENOUGH, nameCodec } from './codec.js';
import { element, icon } from './dom.js';
import { kind } from './words.js';

/** The codec of a recording by its first bytes, or null. */
export async function codecOf(id, { signal } = {}) {
  return nameCodec(await api.readMedia(id, 0, ENOUGH - 1, { signal }));
}

/** `{ node, say(codec, { tried }), text() }` for a recording that the browser does not play. */
export function lackingNote(details) {
  const words = element('p');
  return {
    node: element('div.codec-note', { testid: 'codec-note' }, icon('info'), words),
    text: () => words.textContent,
    say(codec, { tried }) {
      const what = codec?.name ?? `this kind of ${kind(details).toLowerCase()} (${details.media_type})`;
      const unknown = tried && codec === null;
      words.textContent = `This browser cannot play ${what}. ${unknown ? UNRECOGNISED : REASSURANCE[details.state] ?? REASSURANCE.complete} `
        + 'Download it and open it in a program that knows the format.';
    },
  };
}

/** For a video of which only the sound plays. */
export function picturelessNote(codec) {
  const words = `This browser plays only the sound of this recording${codec === null ? '' : `: its format is ${codec.name}`}. Download it to see the picture.`;
  return element('div.codec-note', { testid: 'codec-note' }, icon('info'), element('p', {}, words));
}

const UNRECOGNISED = 'Its first bytes belong to no format known here, though the server has no fault to report.';

/** What can be said for a recording that the browser does not play. An early end may lack what a player needs. */
const REASSURANCE = {
  complete: 'The recording itself is fine.',
  recording: 'It is still being made, and may play when it is complete.',
  unfinished: 'Its recorder stopped before the end, so what a player needs may never have been written.',
};
