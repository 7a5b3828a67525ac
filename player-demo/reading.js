// Reads the media of a recording in progress from a byte on, piece by piece, over connections that break and that it hangs up itself.
// It does not know what becomes of the bytes, nor where they sound (following.js).

import * as api from './api.js';

/** How often a connection that breaks and brings nothing is taken up again, once the listener has nothing left to hear. */
const TRIES = 3;
const TRY_PAUSE_MS = 400;
const LOOK_MS = 250;

/**
 * The pieces, to the end of the recording. While the listener `hasMuch()` no connection is held, until they `hasLittle()`; while
 * they are not `isDry()`, a network that is gone may come back. A refusal is thrown as an `api.Problem`.
 */
export async function* readOn(id, first, { hasMuch, hasLittle, isDry, signal }) {
  let [at, tries] = [first, 0];
  for (;;) {
    try {
      let isWhole = true;
      for await (const piece of api.mediaFrom(id, at, { signal })) {
        at += piece.length;
        tries = 0;
        yield piece;
        isWhole = !hasMuch();
        if (!isWhole) break;
      }
      if (isWhole) return;
      while (!hasLittle()) await pause(LOOK_MS, signal);
    } catch (error) {
      if (!(error instanceof api.Problem)) throw error;
      if (error.document.code === 'range-not-satisfiable') {
        // Nothing came for a while, or there is no more.
        const { state, media_len } = await api.recording(id, { signal });
        if (state !== 'recording' && media_len <= at) return;
      } else {
        tries += 1;
        const isOfTheWay = error.document.status === undefined || error.document.status >= 502;
        if (!isOfTheWay || (tries > TRIES && isDry())) throw error;
      }
      await pause(TRY_PAUSE_MS * Math.min(tries, TRIES), signal);
    }
  }
}

async function pause(ms, signal) {
  await new Promise((done) => { setTimeout(done, ms); });
  signal.throwIfAborted();
}
