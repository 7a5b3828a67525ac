// Skips what is silent: finds the quiet stretches in a waveform, jumps over them while playing, and counts what was skipped.
// It knows no element and no page; where to jump is handed on.

/** Quieter than this share of the loudest is silence; and never louder than the absolute bound. */
const SHARE = 0.04;
const FLOOR = 0.004;
const CEILING = 0.05;
/** Shorter pauses belong to speech. A little of a longer one stays on both sides, so that no word is cut. */
const SHORTEST_S = 1;
const MARGIN_S = 0.2;

/** Stretches `[from, to]` in seconds in which every channel is quiet. */
export function quietStretches(channels, duration) {
  if (channels.length === 0 || channels[0].length === 0 || !(duration > 0)) return [];
  const loudest = channels.flat().reduce((most, point) => Math.max(most, loudness(point)), 0);
  const bound = Math.min(CEILING, Math.max(FLOOR, loudest * SHARE));
  const count = channels[0].length;
  const step = duration / count;
  const found = [];
  let from = null;
  for (let at = 0; at <= count; at += 1) {
    const quiet = at < count && channels.every((points) => loudness(points[at] ?? [0, 0]) < bound);
    if (quiet && from === null) from = at;
    if (quiet || from === null) continue;
    const [start, end] = [from === 0 ? 0 : from * step + MARGIN_S, at === count ? duration : at * step - MARGIN_S];
    if ((at - from) * step >= SHORTEST_S && end > start) found.push([start, end]);
    from = null;
  }
  return found;
}

/** `jump(seconds)` is called where a stretch is skipped; `told(seconds)` with all that was skipped so far. */
export function createSkipper({ jump, told }) {
  let stretches = [];
  let skipped = 0;
  let wanted = false;
  return {
    /** What is quiet, once the waveform tells. */
    learn(found) {
      stretches = found;
    },
    /** The seconds that could be skipped in all. */
    total: () => stretches.reduce((sum, [from, to]) => sum + to - from, 0),
    use(on) {
      wanted = on;
    },
    /** While playing, at `now`, and up to `until` where a loop ends. */
    tick(now, until = Infinity) {
      if (!wanted) return;
      const here = stretches.find(([from, to]) => now >= from && now < Math.min(to, until) - 0.05);
      if (here === undefined) return;
      const to = Math.min(here[1], until);
      skipped += to - now;
      told(skipped);
      jump(to);
    },
  };
}

function loudness([min, max]) {
  return Math.max(Math.abs(min), Math.abs(max));
}
