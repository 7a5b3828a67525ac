// The media element with its controls: skip, speed, time, a link to this moment.
// It does not know why a recording may fail to play: it reports that it did, and the place that had been reached.

import { mediaUrl } from './api.js';
import { copyButton, element } from './dom.js';
import { clock, playerFor } from './words.js';

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
const SKIP_S = 10;
const KEY_SKIP_S = 5;
/** A wait shorter than this is not worth a word. */
const PATIENCE_MS = 1200;

/** The speed that was chosen last goes on with the next recording. */
let speed = 1;

/**
 * Mounts a player for `recording` at `place.time` seconds, going on when `place.playing`.
 * `failed({ code, started })` is called once when it cannot go on; `pictureless()` when a video has sound only.
 * `beside` is a node to stand with the controls.
 */
export function createMedia(recording, place, { failed, pictureless, beside }) {
  const media = element(playerFor(recording), {
    testid: 'media', controls: true, preload: 'metadata', 'aria-label': `Recording ${recording.id}`,
  });
  const time = element('span.time', { testid: 'time' });
  const waiting = element('span.waiting', { hidden: true }, 'Waiting for data …');
  let reached = place.time ?? 0;
  let wanted = place.playing === true;
  let started = false;
  let gone = false;
  let patience = 0;

  const on = (name, act) => media.addEventListener(name, () => { if (!gone) act(); });
  on('loadedmetadata', () => {
    started = true;
    if (reached > 0) seek(reached);
    if (media.localName === 'video' && media.videoWidth === 0) pictureless();
    showTime();
  });
  on('timeupdate', () => {
    if (!media.seeking && started) reached = media.currentTime;
    showTime();
  });
  on('seeking', () => {
    if (started) reached = media.currentTime;
    showTime();
  });
  on('durationchange', showTime);
  on('play', () => { wanted = true; });
  // A pause that an error or the end brings is not a wish of the listener.
  on('pause', () => { wanted = media.error !== null && wanted; });
  on('waiting', () => { patience = patience || setTimeout(() => { waiting.hidden = false; }, PATIENCE_MS); });
  for (const name of ['playing', 'canplay', 'pause', 'seeked', 'ended', 'error']) on(name, stopWaiting);
  on('error', () => failed({ code: media.error?.code ?? 0, started }));

  media.preservesPitch = true;
  media.defaultPlaybackRate = speed;
  media.playbackRate = speed;
  media.src = mediaUrl(recording.id);
  if (wanted) play();
  showTime();

  function play() {
    // A browser may refuse to start without a click; the controls are there for that.
    media.play().catch(() => {});
  }

  function seek(seconds) {
    const last = Number.isFinite(media.duration) ? media.duration : Infinity;
    reached = Math.min(Math.max(seconds, 0), last);
    if (started) media.currentTime = reached;
    showTime();
  }

  function showTime() {
    const now = clock(started ? media.currentTime : reached);
    const length = Number.isFinite(media.duration) ? clock(media.duration) : recording.state === 'recording' ? 'still recording' : '–:––';
    time.textContent = `${now} / ${length}`;
  }

  function stopWaiting() {
    clearTimeout(patience);
    patience = 0;
    waiting.hidden = true;
  }

  function setSpeed(event) {
    speed = Number(event.target.value);
    media.defaultPlaybackRate = speed;
    media.playbackRate = speed;
  }

  const node = element('div.player', { testid: 'player' },
    media,
    element('div.transport', {},
      element('button', { type: 'button', testid: 'back', 'aria-label': `Back ${SKIP_S} seconds`, onclick: () => seek(media.currentTime - SKIP_S) }, `−${SKIP_S} s`),
      element('button', { type: 'button', testid: 'forward', 'aria-label': `Forward ${SKIP_S} seconds`, onclick: () => seek(media.currentTime + SKIP_S) }, `+${SKIP_S} s`),
      element('label.speed', {}, element('span', {}, 'Speed'),
        element('select', { testid: 'speed', onchange: setSpeed },
          SPEEDS.map((value) => element('option', { value, selected: value === speed }, `${value}×`)))),
      time,
      waiting,
      element('div.beside', {}, copyButton('Copy link to this moment', () => linkTo(recording.id, media.currentTime)), beside)));

  return {
    node,
    seek,

    /** Where it stands, to go on from there later. */
    place() {
      return { time: reached, playing: wanted };
    },

    /** False once it has failed: then only a new one can go on. */
    works() {
      return media.error === null;
    },

    /** A guess at the bytes that were being read: from the place that is heard to a little past what is buffered. */
    bytesAround() {
      const share = (seconds) => Math.min(1, Math.max(0, seconds / media.duration));
      if (!Number.isFinite(media.duration) || media.duration === 0) return [0, PROBE_BYTES - 1];
      const buffered = media.buffered.length === 0 ? reached : media.buffered.end(media.buffered.length - 1);
      const first = Math.floor(share(reached) * recording.media_len);
      const last = Math.floor(share(Math.max(buffered, reached)) * recording.media_len) + PROBE_BYTES;
      return [Math.min(first, Math.max(0, recording.media_len - 1)), Math.min(last, first + 8 * PROBE_BYTES, recording.media_len) - 1];
    },

    /** Acts on a key of the page; true when it meant something. */
    key(key) {
      if (key === ' ') media.paused ? play() : media.pause();
      else if (key === 'ArrowLeft') seek(media.currentTime - KEY_SKIP_S);
      else if (key === 'ArrowRight') seek(media.currentTime + KEY_SKIP_S);
      else return false;
      return true;
    },

    /** Takes the element down and lets go of its connection. */
    close() {
      gone = true;
      stopWaiting();
      media.pause();
      media.removeAttribute('src');
      media.load();
      node.remove();
    },
  };
}

const PROBE_BYTES = 1 << 20;

function linkTo(id, seconds) {
  const url = new URL(location.href);
  url.hash = `/recordings/${encodeURIComponent(id)}?t=${Math.floor(seconds)}`;
  return url.href;
}
