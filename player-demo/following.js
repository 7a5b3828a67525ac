// Follows a recording while it is made: reads its media with `fetch` and feeds the element through a MediaSource, so that a sound
// is heard a second after it was recorded. (Given the URL, an element takes 32 KiB before it begins: four seconds of 64 kbit/s.)
// It does not know the page, nor why a server refuses: what it cannot do is left to media.js, which has the plain element.

import * as api from './api.js';
import { ENOUGH } from './codec.js';
import { readOn } from './reading.js';
import { streamOf } from './segments.js';

/** So much ahead of the place that is heard it hangs up, and asks for more when so little is left. */
const MUCH_S = 60;
const LITTLE_S = 30;
/** Where the browser has no more room, so much stays behind the place that is heard. */
const KEPT_S = 30;
/** What lies no further on is read up to, and not jumped to. */
const READ_ON_S = 120;
const READ_ON_BYTES = 1 << 20;
/** Where it jumps to the end or to a guess, it begins so much before: a segment has to begin in there. */
const LEAD_BYTES = 1 << 16;
/** How far before the end of what has come it plays, not to wait at every piece. */
const MARGIN_S = 0.8;
/** Less than this between two places is no gap. */
const SLACK_S = 0.15;
/** So much more than the clock says is no change of pace. */
const KEPT_FACTOR = 1.5;
/** Known places are so far apart. */
const MARK_S = 2;
/** Seeking is free: nobody knows the end. */
const LONGEST_S = 48 * 3600;

/** It was tried, and this browser or this stream is not made for it. */
class Unfit extends Error {}

export function canFollow(recording) {
  return recording.state === 'recording' && globalThis.MediaSource !== undefined && TYPES.test(recording.media_type);
}

/** `unfit()` is called where the plain element has to do it, `failed(failure)` where the server or the network does not give more. */
export function follow(media, recording, { unfit, failed }) {
  const { id } = recording;
  const source = new MediaSource();
  const address = URL.createObjectURL(source);
  let buffer = null;
  let stream = null;
  let isBroken = false;
  /** The reading under way: each jump takes another turn. */
  let turn = new AbortController();
  /** The byte after what was appended, and the second up to which that reaches. */
  let [position, head] = [0, 0];
  /** The byte to reach before it moves to the end. */
  let goal = null;
  const appetite = { hasMuch: () => hasMuch(MUCH_S), hasLittle: () => !hasMuch(LITTLE_S), isDry: () => ahead() < 1 };
  /** Places that are known, by both. */
  const marks = [{ byte: 0, time: 0 }];

  source.addEventListener('sourceopen', () => {
    URL.revokeObjectURL(address);
    source.duration = Infinity;
    source.setLiveSeekableRange?.(0, LONGEST_S);
    read(() => marks[0]);
  }, { once: true });
  for (const name of ['seeking', 'timeupdate', 'waiting']) media.addEventListener(name, steer);
  media.src = address;

  /** Reads on from the place that `find` gives, to the end of the recording. */
  async function read(find, { lead = LEAD_BYTES } = {}) {
    turn.abort();
    turn = new AbortController();
    const { signal } = turn;
    try {
      const from = await find(signal);
      await begin(from, signal);
      let gathered = new Uint8Array();
      let [isAligned, hasLanded] = [from.byte === 0, false];
      for await (const piece of readOn(id, from.byte, { ...appetite, signal })) {
        gathered = join(gathered, piece);
        if (!isFit(gathered)) continue;
        const at = isAligned ? 0 : stream.beginsAt(gathered);
        if (at < 0) continue;
        isAligned = true;
        const grown = await append(gathered.subarray(at), signal);
        position += gathered.length;
        gathered = new Uint8Array();
        if (grown === null) continue;
        head = grown.end;
        mark();
        if (!hasLanded && goal === null && grown.start > media.currentTime + SLACK_S && here() === null) {
          // Earlier, if there is anything.
          if (from.byte > 0) return void read(() => ({ byte: Math.max(0, from.byte - lead), time: from.time }), { lead: lead * 4 });
          media.currentTime = grown.start;
        }
        hasLanded = true;
        arrive();
      }
      arrive(true);
      if (buffer === null) throw new Unfit();
      source.endOfStream();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof api.Problem || error instanceof Unfit || error instanceof DOMException)) throw error;
      turn.abort();
      if (error instanceof api.Problem && error.document.code !== 'answer-unreadable') failed({ code: MediaError.MEDIA_ERR_NETWORK });
      else unfit();
    }
  }

  async function begin(from, signal) {
    [position, head] = [from.byte, from.time];
    if (buffer === null) return;
    await idle(signal);
    buffer.abort();
    if (!stream.isTimed) buffer.timestampOffset = from.time;
  }

  /** The first bytes tell what it is; false while they are too few. */
  function isFit(first) {
    if (buffer !== null) return true;
    stream = streamOf(recording.media_type, first);
    if (stream === null && first.length < ENOUGH) return false;
    if (stream === null || !MediaSource.isTypeSupported(stream.type)) throw new Unfit();
    buffer = source.addSourceBuffer(stream.type);
    buffer.addEventListener('error', () => { isBroken = true; });
    return true;
  }

  /** The range that became longer by it; null where none did. */
  async function append(bytes, signal) {
    const before = ranges();
    try {
      buffer.appendBuffer(bytes);
    } catch (error) {
      if (error.name !== 'QuotaExceededError' || media.currentTime <= KEPT_S) throw error;
      buffer.remove(0, media.currentTime - KEPT_S);
      await idle(signal);
      buffer.appendBuffer(bytes);
    }
    await idle(signal);
    if (isBroken) throw new Unfit();
    return ranges().find(({ end }) => !before.some((range) => range.end === end)) ?? null;
  }

  async function idle(signal) {
    if (buffer.updating) await new Promise((done) => { buffer.addEventListener('updateend', done, { once: true }); });
    signal.throwIfAborted();
  }

  function mark() {
    const next = marks.findIndex(({ time }) => time > head);
    const at = next < 0 ? marks.length : next;
    const fits = head - marks[at - 1].time > MARK_S && position > marks[at - 1].byte && (next < 0 || position < marks[next].byte);
    if (fits) marks.splice(at, 0, { byte: position, time: head });
  }

  /** Sees that what will be heard next is what is read next. */
  function steer({ type }) {
    if (type === 'seeking') goal = null;
    if (buffer === null || goal !== null || source.readyState !== 'open') return;
    const at = media.currentTime;
    const range = here();
    const comes = range === null ? at >= head - SLACK_S && at <= head + READ_ON_S : isIn(range, head) || range.end - at > LITTLE_S;
    if (comes) return;
    head = range?.end ?? at;
    const wanted = head;
    read((signal) => placeOf(wanted, signal));
  }

  /** Where to begin to read for that second: a known place a little before, else a guess. */
  async function placeOf(time, signal) {
    const before = marks.findLast((known) => known.time <= time);
    if (time - before.time < READ_ON_S) return before;
    const after = marks.find((known) => known.time > time) ?? await end(signal);
    const share = Math.min(1, (time - before.time) / (after.time - before.time));
    const byte = before.byte + Math.floor(share * (after.byte - before.byte)) - (stream.isTimed ? LEAD_BYTES : 0);
    return byte <= before.byte ? before : { byte, time };
  }

  /** What there is by now. A recorder may have handed in at once what it had kept: then the clock says less than there is. */
  async function end(signal) {
    const { media_len } = await api.recording(id, { signal });
    const [known, ran] = [marks.at(-1), (api.serverNow() - Date.parse(recording.created_at)) / 1000];
    const guessed = known.byte > 0 ? known.time * media_len / known.byte : 0;
    return { byte: media_len, time: Math.max(guessed > ran * KEPT_FACTOR ? guessed : ran, head + SLACK_S) };
  }

  /** Goes to what is being recorded now. */
  async function toEnd() {
    goal = Infinity;
    const { signal } = turn;
    try {
      const there = await end(signal);
      if (goal === null) return;
      goal = there.byte;
      if (there.byte - position <= READ_ON_BYTES && position <= there.byte) arrive();
      else read(() => ({ byte: there.byte - LEAD_BYTES, time: there.time * (1 - LEAD_BYTES / there.byte) }));
    } catch (error) {
      goal = null;
      if (!(error instanceof api.Problem) && error.name !== 'AbortError') throw error;
    }
  }

  function arrive(isOver = false) {
    if (goal === null || (position < goal && !isOver)) return;
    goal = null;
    media.currentTime = Math.max(0, head - MARGIN_S);
  }

  function ranges() {
    return Array.from({ length: buffer.buffered.length }, (_, at) => ({ start: buffer.buffered.start(at), end: buffer.buffered.end(at) }));
  }

  /** The range that is heard; null in a gap. */
  function here() {
    return ranges().find((range) => isIn(range, media.currentTime)) ?? null;
  }

  function ahead() {
    return buffer === null ? 0 : Math.max(0, (here()?.end ?? 0) - media.currentTime);
  }

  function hasMuch(seconds) {
    return goal === null && ahead() > seconds;
  }

  return {
    toEnd,
    seek(seconds) {
      goal = null;
      media.currentTime = seconds;
    },
    close() {
      turn.abort();
      for (const name of ['seeking', 'timeupdate', 'waiting']) media.removeEventListener(name, steer);
    },
  };
}

function isIn({ start, end }, time) {
  return time >= start - SLACK_S && time <= end + SLACK_S;
}

function join(one, other) {
  if (one.length === 0) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

const TYPES = /^\s*(audio\/(webm|mpeg|mp3|aac|aacp|mp4|x-m4a)|video\/(webm|mp4))\s*(;|$)/i;
