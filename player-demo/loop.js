// A part that is played over and over, from A to B. It keeps the two marks and says when to go back.
// It knows no element: it is told the time and hands on where to jump.

/** A shorter loop is a slip of the hand. */
const SHORTEST_S = 0.2;
/** A jump past B further than this is the listener's own, and leaves the loop behind. */
const PASSED_S = 1;

/** `changed({ from, to })` with each change; a mark that is not set is null. `jump(seconds)` goes back to A. */
export function createLoop({ jump, changed }) {
  let [from, to] = [null, null];
  /** Where the last tick was, as long as nobody sought since. */
  let before = null;

  function set(a, b) {
    [from, to] = [a, b];
    if (from !== null && to !== null && from > to) [from, to] = [to, from];
    if (from !== null && to !== null && to - from < SHORTEST_S) to = from + SHORTEST_S;
    changed({ from, to });
  }

  return {
    set,
    /** The loop begins here; an end before it is dropped. */
    begin: (at) => set(at, to !== null && to > at ? to : null),
    /** The loop ends here; it begins at the start where no beginning is set. */
    end: (at) => set(from ?? 0, at),
    clear: () => set(null, null),
    /** Whether both marks are set. */
    isSet: () => from !== null && to !== null,
    marks: () => ({ from, to }),
    /** While playing: back to A once B is reached; at speed, or in a hidden page, the next tick is well past it. */
    tick(now) {
      const crossed = before !== null && before < to;
      before = now;
      if (from === null || to === null || now < to || (!crossed && now > to + PASSED_S)) return;
      jump(from);
    },
    /** The listener went elsewhere. */
    sought() {
      before = null;
    },
    /** The end of the recording is the end of a loop that reaches it; true when it goes back. */
    ended(duration) {
      const crossed = before !== null && before < to;
      if (from === null || to === null || (!crossed && to < duration - PASSED_S / 2)) return false;
      jump(from);
      return true;
    },
  };
}
