// The deck: one media element with its timeline and buttons, its loop and the silence that it skips; their keys.
// It does not know how the recording came here or what happens when it fails; player.js does.

import * as api from './api.js';
import { momentLink } from './address.js';
import { element } from './dom.js';
import { createLoop } from './loop.js';
import { createSkipper, quietStretches } from './silence.js';
import { createTimeline } from './timeline.js';
import { createTransport, SPEEDS } from './transport.js';
import { clock } from './words.js';

const SKIP_S = 10;
const KEY_SKIP_S = 5;
/** A wait shorter than this is not worth a word. */
const PATIENCE_MS = 1200;
/** A longer one than this may have a cause that the browser tells only after many tries. */
const STALLED_MS = 6000;
/** So far behind what is being recorded, a button leads there. */
const BEHIND_S = { fed: 2, plain: 5 };
/** So long after it was said, it can be heard at the earliest: the recorder and the server gather before they hand on. */
const BEHIND_RECORDER_S = 3;
/** Parts of a waveform: eight a second, within what is worth drawing. */
const POINTS = { perSecond: 8, least: 1000, most: 8000 };

/** Silence goes on being skipped with the next recording. */
let skipsSilence = false;

/**
 * `media` is of media.js; `companion` a node to stand with it; `beside` one to stand with the buttons.
 * `stalled()` is called when nothing has come for long.
 */
export function createDeck(recording, media, { beside, companion, announce, stalled }) {
  const live = recording.state === 'recording';
  const gone = new AbortController();
  let skipped = 0;
  let silence = null;
  let frame = 0;
  let patience = 0;
  let stall = 0;

  const loop = createLoop({ jump: seek, changed: showLoop });
  const skipper = createSkipper({
    jump: seek,
    told: (seconds) => {
      skipped = seconds;
      showSilence();
    },
  });
  const timeline = createTimeline({ label: `Position in ${recording.id}`, seek, mark: (from, to) => loop.set(from, to), widen });
  const transport = createTransport({
    act, link: () => momentLink(recording.id, media.time()), beside, picture: media.element.localName === 'video' || companion !== null,
    setSpeed: media.setSpeed,
    setVolume: (volume) => media.setSound({ volume, muted: volume === 0 }),
  });
  const pictures = element('div.pictures', {}, companion, media.element);
  const node = element('div.player', { testid: 'player' }, pictures, timeline.node, transport.node);
  skipper.use(skipsSilence);

  for (const name of ['timeupdate', 'seeking', 'seeked', 'loadedmetadata', 'durationchange']) media.on(name, tick);
  // The last `progress` may come before what it tells of is there.
  for (const name of ['progress', 'suspend', 'timeupdate', 'loadedmetadata', 'durationchange', 'seeked']) media.on(name, () => timeline.setLoaded(media.element.buffered));
  media.on('seeking', loop.sought);
  media.on('play', run);
  media.on('playing', run);
  for (const name of ['play', 'pause', 'ended']) media.on(name, () => transport.showPlaying(!media.element.paused));
  media.on('ratechange', () => transport.showSpeed(media.speed()));
  media.on('ended', () => { if (loop.ended(media.duration())) media.play(); });
  media.on('click', media.toggle);
  for (const name of ['waiting', 'seeking']) media.on(name, startWaiting);
  for (const name of ['playing', 'canplay', 'pause', 'seeked', 'ended', 'error']) media.on(name, stopWaiting);
  showAll();
  learn();

  /** The waveform, and with it where it is silent. What cannot be had leaves a plain timeline. */
  async function learn() {
    timeline.setChannels([]);
    if (live) return;
    const known = recording.metadata?.duration_s;
    const points = Number.isFinite(known) ? Math.round(Math.min(POINTS.most, Math.max(POINTS.least, known * POINTS.perSecond))) : POINTS.most / 4;
    try {
      const found = await api.waveform(recording.id, points, { signal: gone.signal });
      const channels = found.channels ?? [];
      timeline.setChannels(channels);
      const length = found.duration_s ?? media.duration();
      if (channels.length > 0 && length > 0) {
        silence = quietStretches(channels, length);
        skipper.learn(silence);
      }
      showSilence();
    } catch (error) {
      if (!(error instanceof api.Problem) && error.name !== 'AbortError') throw error;
    }
  }

  /** In each picture while it plays; a hidden page gets along with `timeupdate`. */
  function run() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      tick();
      if (!media.element.paused && !gone.signal.aborted) run();
    });
  }

  function tick() {
    const now = media.time();
    if (!media.element.paused && !media.element.seeking) {
      skipper.tick(now, loop.isSet() ? loop.marks().to : Infinity);
      loop.tick(now);
    }
    const reach = reached();
    timeline.move(now, reach);
    transport.showTime(now, media.duration(), live ? 'still recording' : '–:––');
    transport.showLive(live && reach - now > BEHIND_S[media.isFed() ? 'fed' : 'plain']);
  }

  /** The length; of what is being recorded, as much as there should be by now. */
  function reached() {
    const whole = media.duration();
    if (whole > 0 || !live) return whole;
    const { buffered } = media.element;
    const loaded = buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
    const running = (api.serverNow() - Date.parse(recording.created_at)) / 1000 - BEHIND_RECORDER_S;
    return Math.max(loaded, running > 0 ? running : 0);
  }

  /** Past the end of what is being recorded there is nothing yet: then to what comes. */
  function seek(seconds) {
    const end = reached();
    if (live && seconds >= end) media.seekEnd(end);
    else media.seek(seconds);
  }

  /** What a key or a button means here; false when it means nothing. */
  function act(meaning, value) {
    const deed = DEEDS[meaning];
    if (deed === undefined) return false;
    deed(value);
    return true;
  }

  const DEEDS = {
    toggle: media.toggle,
    back: () => seek(media.time() - KEY_SKIP_S),
    on: () => seek(media.time() + KEY_SKIP_S),
    'far-back': () => seek(media.time() - SKIP_S),
    'far-on': () => seek(media.time() + SKIP_S),
    slower: () => speedBy(-1),
    faster: () => speedBy(1),
    mute: () => {
      const { muted, volume } = media.sound();
      media.setSound({ muted: !muted, volume: muted && volume === 0 ? 1 : volume });
      transport.showSound(media.sound());
    },
    silence: (wanted = !skipsSilence) => {
      if (silence === null) return;
      skipsSilence = wanted;
      skipper.use(wanted);
      showSilence();
      announce(wanted ? 'Silence is skipped' : 'Silence is played');
    },
    'loop-a': () => loop.begin(media.time()),
    'loop-b': () => loop.end(media.time()),
    'loop-off': loop.clear,
    live: () => {
      seek(Infinity);
      media.play();
    },
    full: () => (document.fullscreenElement === null ? pictures.requestFullscreen?.() : document.exitFullscreen()),
  };

  function speedBy(step) {
    const at = SPEEDS.indexOf(media.speed());
    const next = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + step))];
    media.setSpeed(next);
    announce(`Speed ${next}`);
  }

  /** A loop made by keys on the timeline: the first press begins it here, each moves its end. */
  function widen(by) {
    const { from, to } = loop.marks();
    const start = from ?? media.time();
    loop.set(start, Math.min(media.duration(), Math.max(start, (to ?? start) + by)));
  }

  function showLoop(marks) {
    timeline.setLoop(marks);
    transport.showLoop(marks);
    if (marks.from !== null && marks.to !== null) announce(`Loop from ${clock(marks.from)} to ${clock(marks.to)}`);
  }

  function showSilence() {
    transport.showSilence({ on: skipsSilence && silence !== null, total: silence === null ? null : skipper.total(), seconds: skipped });
  }

  function showAll() {
    transport.showSpeed(media.speed());
    transport.showSound(media.sound());
    transport.showPlaying(!media.element.paused);
    showSilence();
    tick();
  }

  function startWaiting() {
    patience = patience || setTimeout(() => transport.showWaiting(live ? 'Waiting for what comes …' : 'Waiting for data …'), PATIENCE_MS);
    if (!live) stall = stall || setInterval(stalled, STALLED_MS);
  }

  function stopWaiting() {
    clearTimeout(patience);
    clearInterval(stall);
    [patience, stall] = [0, 0];
    transport.showWaiting('');
  }

  return {
    node, act,
    marks: loop.marks,
    /** Marks a loop again, as it was before the element was replaced. */
    restore: ({ from, to }) => { if (from !== null) loop.set(from, to); },
    close() {
      gone.abort();
      cancelAnimationFrame(frame);
      stopWaiting();
      timeline.close();
      node.remove();
    },
  };
}
