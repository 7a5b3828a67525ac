// The timeline: the waveform with what was played and loaded, a playhead, a marked loop; click, drag and keys seek.
// It is a slider to assistive technology. It knows no media element: it is told where things stand, and hands on wishes.

import { element } from './dom.js';
import { clock, spoken } from './words.js';
import { drawWaveform } from './waveform.js';

/** While it is dragged, it seeks no more often than this. */
const DRAG_PAUSE_MS = 120;
/** A move of fewer pixels is a click. */
const CLICK_PX = 4;

/** `seek(seconds)`, `mark(from, to)` for a loop, and `widen(seconds)` for one made by keys. */
export function createTimeline({ label, seek, mark, widen }) {
  let channels = [];
  let duration = 0;
  let now = 0;
  let held = null;
  let drawn = '';
  let told = '';
  let looped = { from: null, to: null };

  const canvas = element('canvas', { 'aria-hidden': 'true' });
  const loaded = element('div.timeline-loaded');
  const loop = element('div.timeline-loop', { testid: 'loop-mark', hidden: true });
  const head = element('div.timeline-head', { testid: 'playhead' });
  const hover = element('div.timeline-hover', { hidden: true });
  const lanes = element('div.timeline-lanes', { 'aria-hidden': 'true' });
  const node = element('div.timeline', {
    testid: 'timeline', role: 'slider', tabindex: '0', 'aria-label': label, 'aria-valuemin': '0', 'aria-orientation': 'horizontal',
    onpointerdown: grasp, onpointermove: drag, onpointerup: release, onpointercancel: release,
    onpointerleave: () => { hover.hidden = true; }, onkeydown: onKey,
  }, canvas, lanes, loop, loaded, head, hover);
  // The canvas is as wide as its place; colours are the style sheet's, which may change with the light.
  const sizes = new ResizeObserver(() => draw(true));
  sizes.observe(node);
  const light = matchMedia('(prefers-color-scheme: dark)');
  const redraw = () => draw(true);
  light.addEventListener('change', redraw);

  function grasp(event) {
    if (event.button !== 0 || !(duration > 0)) return;
    node.setPointerCapture(event.pointerId);
    held = { marks: event.shiftKey, from: secondsAt(event), x: event.clientX, sought: -Infinity };
    if (!held.marks) step(held.from);
  }

  function drag(event) {
    const at = secondsAt(event);
    hover.hidden = !(duration > 0);
    hover.textContent = clock(at);
    hover.style.left = percent(Math.min(0.96, Math.max(0.04, at / duration)));
    if (held === null) return;
    if (held.marks) {
      if (Math.abs(event.clientX - held.x) >= CLICK_PX) mark(held.from, at);
    } else {
      step(at);
    }
  }

  function release(event) {
    if (held === null) return;
    const { marks } = held;
    held = null;
    if (!marks) seek(secondsAt(event));
  }

  /** The playhead follows the hand at once, the sound now and then. */
  function step(at) {
    show(at);
    if (performance.now() - held.sought < DRAG_PAUSE_MS) return;
    held.sought = performance.now();
    seek(at);
  }

  function onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !(duration > 0)) return;
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -duration / 10, PageUp: duration / 10 }[event.key];
    if (event.shiftKey && by !== undefined) widen(by);
    else if (by !== undefined) seek(now + by);
    else if (event.key === 'Home') seek(0);
    else if (event.key === 'End') seek(duration);
    else return;
    event.preventDefault();
  }

  function secondsAt(event) {
    const { left, width } = node.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - left) / width)) * duration;
  }

  function show(seconds) {
    head.style.left = percent(duration > 0 ? Math.min(1, seconds / duration) : 0);
    draw(false, seconds);
    const text = `${spoken(seconds)}${duration > 0 ? ` of ${spoken(duration)}` : ''}`;
    if (text === told) return;
    told = text;
    node.setAttribute('aria-valuenow', String(Math.floor(seconds)));
    node.setAttribute('aria-valuemax', String(Math.max(1, Math.ceil(duration), Math.floor(seconds))));
    node.setAttribute('aria-valuetext', text);
  }

  function draw(anyway = false, seconds = now) {
    const played = duration > 0 ? Math.min(1, seconds / duration) : 0;
    const print = `${Math.round(played * canvas.clientWidth * (globalThis.devicePixelRatio ?? 1))}`;
    if (!anyway && print === drawn) return;
    drawn = print;
    const style = getComputedStyle(node);
    const colour = (name) => style.getPropertyValue(name).trim();
    drawWaveform(canvas, channels, { played, colours: { played: colour('--wave-played'), rest: colour('--wave-rest'), line: colour('--border') } });
  }

  function showLoop() {
    const { from, to } = looped;
    loop.hidden = from === null || !(duration > 0);
    if (loop.hidden) return;
    loop.classList.toggle('open', to === null);
    loop.style.left = percent(from / duration);
    loop.style.width = to === null ? '2px' : percent(Math.min(1, to / duration) - from / duration);
  }

  show(0);
  return {
    node,
    /** The lanes of the waveform. */
    setChannels(found) {
      channels = found;
      node.dataset.channels = String(found.length);
      lanes.replaceChildren(...(found.length === 2 ? ['Left', 'Right'] : []).map((name) => element('span', {}, name)));
      draw(true);
    },
    /** Where it stands, of how much; a hand on the playhead goes before. */
    move(seconds, whole) {
      const longer = whole !== duration;
      [now, duration] = [seconds, whole];
      if (longer) {
        told = '';
        draw(true);
        showLoop();
      }
      if (held === null) show(seconds);
    },
    /** The parts that are loaded, as the element's time ranges. */
    setLoaded(ranges) {
      const parts = [];
      for (let at = 0; at < ranges.length && duration > 0; at += 1) {
        const part = element('span');
        part.style.left = percent(ranges.start(at) / duration);
        part.style.width = percent(Math.min(1, ranges.end(at) / duration) - ranges.start(at) / duration);
        parts.push(part);
      }
      loaded.replaceChildren(...parts);
    },
    setLoop(marks) {
      looped = marks;
      showLoop();
    },
    close() {
      sizes.disconnect();
      light.removeEventListener('change', redraw);
    },
  };
}

function percent(share) {
  return `${(Math.max(0, share) * 100).toFixed(3)}%`;
}
