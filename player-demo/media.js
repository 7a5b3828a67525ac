// The media element: the place it has reached, whether it is wanted to play, its speed and its sound.
// It does not know why a recording may fail to play: it reports that it did. The controls are deck.js's.

import { mediaUrl } from './api.js';
import { element } from './dom.js';
import { canFollow, follow } from './following.js';
import { playerFor } from './words.js';

const PROBE_BYTES = 1 << 20;

/** The speed and the sound that were chosen last go on with the next recording. */
const chosen = { speed: 1, volume: 1, muted: false };
/** Recordings in progress that the element has to play by itself. */
const unfit = new Set();

/**
 * Makes a media element for `recording` at `place.time` seconds, going on when `place.playing`.
 * `failed({ code, started })` is called once when it cannot go on; `pictureless()` when a video has sound only.
 */
export function createMedia(recording, place, { failed, pictureless }) {
  const media = element(playerFor(recording), { testid: 'media', preload: 'metadata', playsinline: true, 'aria-label': `Recording ${recording.id}` });
  const listeners = new AbortController();
  let reached = place.time ?? 0;
  let wanted = place.playing === true;
  let started = false;
  /** What sounds: another element where a call's sound is a recording of its own. */
  let sounding = media;
  /** What feeds the element, where it does not fetch by itself. */
  let following = null;
  const address = mediaUrl(recording.id);

  const on = (name, act) => media.addEventListener(name, act, { signal: listeners.signal });
  on('loadedmetadata', () => {
    started = true;
    if (reached > 0) seek(reached);
    if (media.localName === 'video' && media.videoWidth === 0) pictureless();
  });
  on('timeupdate', () => { if (!media.seeking && started) reached = media.currentTime; });
  on('seeking', () => { if (started) reached = media.currentTime; });
  on('play', () => { wanted = true; });
  // A pause that an error or the end brings is not a wish of the listener.
  on('pause', () => { wanted = media.error !== null && wanted; });
  on('error', () => (following === null ? failed({ code: media.error?.code ?? 0, started }) : playPlainly()));

  media.preservesPitch = true;
  media.defaultPlaybackRate = chosen.speed;
  media.playbackRate = chosen.speed;
  if (canFollow(recording) && !unfit.has(recording.id)) {
    following = follow(media, recording, { unfit: playPlainly, failed: ({ code }) => failed({ code, started }) });
  } else {
    media.src = address;
  }
  sound();
  if (wanted) play();

  /** What cannot be fed, the element fetches itself. */
  function playPlainly() {
    if (following === null) return;
    following.close();
    following = null;
    unfit.add(recording.id);
    started = false;
    media.src = address;
    if (wanted) play();
  }

  function play() {
    // A browser may refuse to start without a click; the controls are there for that.
    media.play().catch(() => {});
  }

  function seek(seconds) {
    reached = Math.min(Math.max(seconds, 0), duration() || Infinity);
    if (!started) return;
    if (following === null) media.currentTime = reached;
    else following.seek(reached);
  }

  /** In seconds; 0 while it is not known, or still grows. */
  function duration() {
    return Number.isFinite(media.duration) ? media.duration : 0;
  }

  function sound() {
    for (const each of new Set([media, sounding])) {
      each.volume = chosen.volume;
      each.muted = chosen.muted || each !== sounding;
    }
  }

  return {
    element: media,
    on,
    seek,
    duration,
    play,
    /** To the end of what has come; `seconds` is where that should be about. */
    seekEnd: (seconds) => (following === null ? seek(seconds) : following.toEnd()),
    toggle: () => (media.paused ? play() : media.pause()),
    time: () => (started ? media.currentTime : reached),

    speed: () => chosen.speed,
    setSpeed(speed) {
      chosen.speed = speed;
      media.defaultPlaybackRate = speed;
      media.playbackRate = speed;
    },

    sound: () => ({ volume: chosen.volume, muted: chosen.muted }),
    setSound(wish) {
      Object.assign(chosen, wish);
      sound();
    },
    /** Lets another element sound in place of this one; null gives the sound back. */
    soundBy(other) {
      sounding = other ?? media;
      sound();
    },

    /** The URL that it plays from, as it was given. */
    source: () => address,

    /** Whether it is fed as it comes, and so hears what is being recorded at once. */
    isFed: () => following !== null,

    /** Where it stands, to go on from there later. */
    place: () => ({ time: reached, playing: wanted }),

    /** False once it has failed: then only a new one can go on. */
    works: () => media.error === null,

    /** A guess at the bytes that were being read: from the place that is heard to a little past what is buffered. */
    bytesAround() {
      const share = (seconds) => Math.min(1, Math.max(0, seconds / media.duration));
      if (!Number.isFinite(media.duration) || media.duration === 0) return [0, PROBE_BYTES - 1];
      const buffered = media.buffered.length === 0 ? reached : media.buffered.end(media.buffered.length - 1);
      const first = Math.floor(share(reached) * recording.media_len);
      const last = Math.floor(share(Math.max(buffered, reached)) * recording.media_len) + PROBE_BYTES;
      return [Math.min(first, Math.max(0, recording.media_len - 1)), Math.min(last, first + 8 * PROBE_BYTES, recording.media_len) - 1];
    },

    /** Takes the element down and lets go of its connection. */
    close() {
      listeners.abort();
      following?.close();
      media.pause();
      media.removeAttribute('src');
      media.load();
      media.remove();
    },
  };
}
