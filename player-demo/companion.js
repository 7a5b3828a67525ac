// The recording that plays along with another of the same call: its element, its link, and what is said about it.
// group.js picks it, together.js keeps it in step; it never stops the recording that it belongs to.

import * as api from './api.js';
import { element, icon } from './dom.js';
import { keepInStep } from './together.js';
import { clock, kind, playerFor } from './words.js';

/** Mounts it beside `media`. Its node stands with the picture; `close()` gives the sound back. */
export function playAlong(media, { recording, offset }) {
  const family = playerFor(recording);
  const follower = element(family, { testid: 'companion', preload: 'auto', playsinline: true, 'aria-label': `Recording ${recording.id}, in step` });
  const said = element('p.companion-said', { testid: 'companion-said' }, icon('together'), element('span'));
  const node = element('div.companion', {}, follower, said);
  let step = null;
  let again = true;
  let closed = false;
  load();

  async function load() {
    try {
      const fresh = await api.recording(recording.id);
      if (closed) return;
      if (!fresh.playable || follower.canPlayType(fresh.media_type) === '') throw new api.Problem(fresh.problem ?? { title: 'this browser cannot play it' });
      follower.preservesPitch = true;
      follower.src = api.mediaUrl(recording.id);
      if (family === 'audio') media.soundBy(follower);
      follower.muted = family === 'video' || media.sound().muted;
      step ??= keepInStep(media.element, follower, { offset, speed: media.speed, away });
    } catch (error) {
      if (!(error instanceof api.Problem)) throw error;
      fail(error.document);
    }
  }

  /** Its link may have run out: once, it is opened anew. */
  follower.addEventListener('error', () => {
    if (closed || follower.error === null) return;
    if (again) {
      again = false;
      api.forgetLink(recording.id);
      load();
    } else {
      fail({ title: 'it broke off' });
    }
  });
  follower.addEventListener('playing', () => { again = true; });

  function away(isAway) {
    follower.classList.toggle('away', isAway);
    const place = offset > 0 ? `from ${clock(offset)} on` : 'from its start';
    say(isAway ? `${kind(recording)} ${recording.id} covers another part of the call, ${place}.` : `In step: ${kind(recording).toLowerCase()} ${recording.id}`);
  }

  function fail(problem) {
    step?.close();
    media.soundBy(null);
    follower.remove();
    say(`${recording.id} cannot play along: ${problem.title ?? 'the server gave no reason'}.`);
  }

  function say(text) {
    said.lastChild.textContent = text;
  }

  return {
    node,
    close() {
      closed = true;
      step?.close();
      media.soundBy(null);
      follower.removeAttribute('src');
      follower.load();
      node.remove();
    },
  };
}
