// Finds out why a media element failed, which says next to nothing itself: asks the server, reads the bytes, names the codec.
// It shows nothing and decides nothing; player.js acts on the verdict.

import * as api from './api.js';
import { ENOUGH, nameCodec } from './codec.js';
import { clock } from './words.js';

/** A link that was just replaced and is refused again is not the cause. */
const RENEWAL_PAUSE_MS = 10_000;

let renewed = -Infinity;

/**
 * `{ verdict, … }`: `renewed` (the link had run out, there is another now), `problem` (with the document), `lacking` (the browser
 * has no such codec; with the codec or null), `cut` (nothing is wrong with the recording: the stream broke off), `undecodable`.
 * `failure` is `{ code, started }`, `range` the bytes that were being read, `playedFrom` the URL that failed; without `mayRenew`
 * another link is not taken for a remedy.
 */
export async function diagnose(id, { failure: { code, started }, range, playedFrom, mayRenew, signal }) {
  try {
    const fresh = await api.recording(id, { signal });
    if (fresh.playable && mayRenew && api.mediaUrl(id) !== playedFrom) return { verdict: 'renewed', fresh };
    if (!fresh.playable) return { verdict: 'problem', problem: fresh.problem ?? {} };
    const first = await firstBytes(id, signal);
    if (first === null) return { verdict: 'renewed', fresh };
    if (started && fresh.media_len > 0) await api.readMedia(id, range[0], range[1], { signal });
    const codec = nameCodec(first);
    if (!started && !canPlay(codec)) return { verdict: 'lacking', codec };
    return { verdict: !started || code === MediaError.MEDIA_ERR_NETWORK ? 'cut' : 'undecodable', codec };
  } catch (error) {
    if (!(error instanceof api.Problem)) throw error;
    return { verdict: 'problem', problem: error.document };
  }
}

/** The first bytes; null when the link had run out and was replaced. */
async function firstBytes(id, signal) {
  try {
    return await api.readMedia(id, 0, ENOUGH - 1, { signal });
  } catch (error) {
    if (!(error instanceof api.Problem) || !isOfLink(id, error.document.code)) throw error;
    renewed = performance.now();
    api.forgetLink(id);
    await api.recording(id, { signal });
    return null;
  }
}

function isOfLink(id, code) {
  return ['link-expired', 'forbidden'].includes(code) && api.playsByLink(id) && performance.now() - renewed > RENEWAL_PAUSE_MS;
}

function canPlay(codec) {
  return codec?.type !== null && codec?.type !== undefined && document.createElement('video').canPlayType(codec.type) !== '';
}

/** The server has nothing to say against it, and yet the element stopped, or never began. */
export function interruption({ verdict, codec }, seconds) {
  if (verdict !== 'undecodable') {
    return {
      code: 'connection-cut',
      title: `Playing stopped at ${clock(seconds)}`,
      detail: 'The stream broke off on its way. The server can be reached and has no fault to report now.',
    };
  }
  return {
    code: 'decoding-failed',
    title: `Playing stopped at ${clock(seconds)}`,
    detail: `${codec === null ? '' : `It looks like ${codec.name}. `}The server has no fault to report, and yet the browser could not decode what came. `
      + 'If trying again does not help, look at the file itself with a program for its format.',
  };
}
