// Watches a recording that is being made: how long it runs already, how much has come, and when it ends.
// It shows a badge of its own and hands on what the server says; it does not know the player.

import * as api from './api.js';
import { element } from './dom.js';
import { clock, recordedAt } from './words.js';

const LOOK_MS = 2500;
/** A browser's clock that is further off than any call is long says nothing. */
const LONGEST_S = 48 * 3600;

/** `changed(recording)` is called with each answer, also with the one that says that it is complete. */
export function watchLive(recording, { changed }) {
  const running = element('span', { testid: 'live-time' });
  const node = element('span.badge.badge-live', { testid: 'live' }, element('span.live-dot', { 'aria-hidden': 'true' }), 'recording ', running);
  const began = Date.parse(recordedAt(recording));
  const gone = new AbortController();
  const ticking = setInterval(tick, 1000);
  let looking = setTimeout(look, LOOK_MS);
  tick();

  function tick() {
    const seconds = (api.serverNow() - began) / 1000;
    running.textContent = seconds >= 0 && seconds < LONGEST_S ? clock(seconds) : '';
  }

  async function look() {
    clearTimeout(looking);
    try {
      const fresh = await api.recording(recording.id, { signal: gone.signal });
      if (!gone.signal.aborted) changed(fresh);
    } catch (error) {
      if (!(error instanceof api.Problem) && error.name !== 'AbortError') throw error;
      // A server that cannot be asked just now is asked again; what plays, plays on.
    }
    if (!gone.signal.aborted) looking = setTimeout(look, LOOK_MS);
  }

  return {
    node, look,
    close() {
      gone.abort();
      clearInterval(ticking);
      clearTimeout(looking);
    },
  };
}
