// Keeps a second media element in step with a first, which is the clock: starts, stops and seeks with it, and corrects drift.
// It knows neither recordings nor the page. A little drift is taken up by the speed of the picture, which nobody notices
// as they would in sound; more by a seek of the follower.

/** More than this is heard or seen: the follower seeks. */
const SEEK_S = 0.1;
/** Less than this is left alone. */
const STILL_S = 0.012;
/** The share by which the picture's speed may differ, and how eagerly it does. */
const RATE_MOST = 0.1;
const EAGERNESS = 2;
const LOOK_MS = 60;
/** An element stands a while after a seek before it moves. How long, shows after this, and the next seek aims ahead by it. */
const SETTLE_MS = 350;
const LEAD_MOST_S = 1;
/** So far off, nothing is left to settle. */
const LOST_S = 0.5;

/**
 * `offset`: how many seconds later the follower began; `speed()`: the listener's choice.
 * `away(bool)` tells whether the follower has nothing to show at the clock's time.
 */
export function keepInStep(clock, follower, { offset = 0, speed, away = () => {} }) {
  const gone = new AbortController();
  const picture = clock.localName === 'video' ? clock : follower;
  const ahead = picture === clock ? 1 : -1;
  let lead = 0;
  let settles = 0;
  let out = null;

  const on = (target, names, act) => names.forEach((name) => target.addEventListener(name, act, { signal: gone.signal }));
  on(clock, ['play', 'playing', 'pause', 'waiting', 'seeking', 'seeked', 'ratechange', 'ended', 'timeupdate'], step);
  on(follower, ['loadedmetadata', 'canplay', 'seeked'], step);
  const timer = setInterval(step, LOOK_MS);
  step();

  function step() {
    if (follower.readyState < HTMLMediaElement.HAVE_METADATA) return;
    const length = Number.isFinite(follower.duration) ? follower.duration : Infinity;
    const aim = clock.currentTime - offset;
    say(aim < 0 || aim >= length);
    const runs = !clock.paused && !clock.ended && !clock.seeking && clock.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
    if (out || !runs) {
      stand(Math.min(Math.max(aim, 0), length));
      return;
    }
    if (follower.paused) {
      follower.play().catch(() => {});
      settles = performance.now() + SETTLE_MS;
    }
    if (!follower.seeking) correct(aim, length);
  }

  /** Stands at one moment while the clock stands. */
  function stand(at) {
    if (!follower.paused) follower.pause();
    settles = 0;
    bend(0);
    if (!follower.seeking && Math.abs(follower.currentTime - at) >= STILL_S) follower.currentTime = at;
  }

  function correct(aim, length) {
    const drift = follower.currentTime - aim;
    const unsettled = performance.now() < settles;
    if (!unsettled && settles !== 0) {
      // Behind by what it stood: the next seek aims so far ahead, and the other way round.
      lead = Math.min(LEAD_MOST_S, Math.max(0, lead - drift / speed()));
      settles = 0;
    }
    if (Math.abs(drift) > (unsettled ? LOST_S : SEEK_S)) {
      bend(0);
      follower.currentTime = Math.min(length, aim + lead * speed());
      settles = performance.now() + SETTLE_MS;
      return;
    }
    bend(Math.abs(drift) < STILL_S || unsettled ? 0 : Math.max(-RATE_MOST, Math.min(RATE_MOST, drift * EAGERNESS)));
  }

  /** The picture goes by that share faster or slower than the sound. */
  function bend(by) {
    for (const each of [clock, follower]) {
      const rate = speed() * (each === picture ? 1 + ahead * by : 1);
      if (Math.abs(each.playbackRate - rate) > 0.002) each.playbackRate = rate;
    }
  }

  function say(isOut) {
    if (isOut === out) return;
    out = isOut;
    away(isOut);
  }

  return {
    /** Lets the follower go, standing. */
    close() {
      gone.abort();
      clearInterval(timer);
      follower.pause();
      clock.playbackRate = speed();
    },
  };
}
