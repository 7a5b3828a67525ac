// Keeps a second media element in step with a first, which is the clock: starts, stops and seeks with it, and corrects drift.
// It knows neither recordings nor the page. A little drift is taken up by the follower's speed, more by a seek.

/** More than this is heard or seen: the follower seeks. */
const SEEK_S = 0.08;
/** Less than this is left alone. */
const STILL_S = 0.012;
/** The share by which the follower's speed may differ. */
const RATE_MOST = 0.06;
const LOOK_MS = 60;
/** After a seek that went to where the clock was already past, the next one aims ahead by what the last took. */
const LEAD_MOST_S = 1;

/** `offset`: how many seconds later the follower began. `away(bool)` tells whether it has nothing to show at the clock's time. */
export function keepInStep(clock, follower, { offset = 0, away = () => {} }) {
  const gone = new AbortController();
  let lead = 0;
  let sought = null;
  let out = null;

  const on = (target, names, act) => names.forEach((name) => target.addEventListener(name, act, { signal: gone.signal }));
  on(clock, ['play', 'playing', 'pause', 'waiting', 'seeking', 'seeked', 'ratechange', 'ended', 'timeupdate'], step);
  on(follower, ['loadedmetadata', 'canplay'], step);
  on(follower, ['seeked'], landed);
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
    if (follower.paused) follower.play().catch(() => {});
    if (follower.seeking) return;
    correct(aim, length);
  }

  /** Stands at one picture while the clock stands. */
  function stand(at) {
    if (!follower.paused) follower.pause();
    if (follower.seeking || Math.abs(follower.currentTime - at) < STILL_S) return;
    sought = null;
    follower.currentTime = at;
  }

  function correct(aim, length) {
    const drift = follower.currentTime - aim;
    if (Math.abs(drift) > SEEK_S) {
      sought = performance.now();
      follower.playbackRate = clock.playbackRate;
      follower.currentTime = Math.min(length, aim + lead * clock.playbackRate);
      return;
    }
    const by = Math.abs(drift) < STILL_S ? 0 : Math.max(-RATE_MOST, Math.min(RATE_MOST, drift * 1.5));
    const rate = clock.playbackRate * (1 - by);
    if (Math.abs(follower.playbackRate - rate) > 0.002) follower.playbackRate = rate;
  }

  function landed() {
    if (sought !== null) lead = Math.min(LEAD_MOST_S, (performance.now() - sought) / 1000);
    sought = null;
    step();
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
    },
  };
}
