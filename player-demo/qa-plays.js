// Plays a recording in an element that nobody hears or sees: to its middle, and a little on from there.
// A codec that this browser lacks is no fault of the installation: it is named, and not counted.

import { mediaUrl, readMedia, recording } from './api.js';
import { ENOUGH, nameCodec } from './codec.js';
import { element } from './dom.js';
import { playerFor } from './words.js';

const PATIENCE_MS = 15_000;
const HEARD_S = 0.2;

/** `{ ok, seen, ms }`; ok is null where the browser has no player for it. */
export async function plays(id, details, signal) {
  const family = playerFor(details);
  if (family === null) return { ok: null, seen: `${details.media_type}: nothing that a browser plays` };
  // Also sees that there is a link, for an element can say nothing else of who asks.
  await recording(id, { signal });
  const media = element(family, { preload: 'auto' });
  media.muted = true;
  const begun = performance.now();
  try {
    const seen = await toTheMiddle(media, mediaUrl(id), signal);
    return { ok: true, seen, ms: Math.round(performance.now() - begun) };
  } catch (error) {
    signal.throwIfAborted();
    const codec = nameCodec(await readMedia(id, 0, ENOUGH - 1, { signal }));
    if (isLacking(media, details, codec)) return { ok: null, seen: `this browser lacks ${codec?.name ?? details.media_type}` };
    return { ok: false, seen: `${error.message}${codec === null ? '' : ` (${codec.name})`}` };
  } finally {
    media.pause();
    media.removeAttribute('src');
    media.load();
  }
}

async function toTheMiddle(media, url, signal) {
  media.src = url;
  await happens(media, 'loadedmetadata', signal);
  const middle = Number.isFinite(media.duration) ? media.duration / 2 : 0;
  if (middle > 0) {
    media.currentTime = middle;
    await happens(media, 'seeked', signal);
  }
  const from = media.currentTime;
  if (Math.abs(from - middle) > 1) throw new Error(`asked for ${middle.toFixed(1)} s, it is at ${from.toFixed(1)} s`);
  // What a refusal to play says comes as an error of the element.
  media.play().catch(() => {});
  await happens(media, 'playing', signal);
  while (media.currentTime < from + Math.min(HEARD_S, middle / 2)) await happens(media, 'timeupdate', signal);
  return `played from ${from.toFixed(1)} s of ${Number.isFinite(media.duration) ? media.duration.toFixed(1) : 'unknown'} s`;
}

/** Waits for an event; an error of the element ends the wait. */
function happens(media, name, signal) {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const settle = (act) => () => {
      over.abort();
      clearTimeout(patience);
      act();
    };
    const patience = setTimeout(settle(() => reject(new Error(`no ${name} within ${PATIENCE_MS / 1000} s`))), PATIENCE_MS);
    const on = (target, event, act) => target.addEventListener(event, settle(act), { signal: over.signal });
    on(media, name, resolve);
    on(media, 'error', () => reject(new Error(`the element failed with error ${media.error?.code}`)));
    on(signal, 'abort', () => reject(signal.reason));
  });
}

function isLacking(media, details, codec) {
  if (codec?.type) return media.canPlayType(codec.type) === '';
  // Telephony formats that no browser has are known by name alone.
  return codec !== null || media.canPlayType(details.media_type) === '';
}
