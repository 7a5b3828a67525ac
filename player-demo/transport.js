// The buttons under the timeline: play, skip, speed, sound, loop, silence, a link to the moment.
// It knows no media element: each button hands on a meaning (keys.js has the same ones), and `show` says how things stand.

import { copyButton, element, icon } from './dom.js';
import { clock } from './words.js';

export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];

/** `act(meaning)`, `setSpeed(speed)`, `setVolume(0 … 1)`; `link()` is the address of this moment; `beside` stands at the end. */
export function createTransport({ act, setSpeed, setVolume, link, beside, picture }) {
  const button = (meaning, testid, label, content, kind = 'button') =>
    element(kind, { type: 'button', testid, 'aria-label': typeof content === 'string' ? null : label, title: label, onclick: () => act(meaning) }, content);

  const playIcon = icon('play');
  const play = button('toggle', 'play', 'Play', playIcon, 'button.primary.play');
  const time = element('span.time', { testid: 'time' });
  const speed = element('select', { testid: 'speed', onchange: () => setSpeed(Number(speed.value)) },
    SPEEDS.map((value) => element('option', { value }, `${value}×`)));
  const soundIcon = icon('sound');
  const mute = button('mute', 'mute', 'Sound off', soundIcon, 'button.flat');
  const volume = element('input.volume', {
    type: 'range', testid: 'volume', min: 0, max: 1, step: 0.05, 'aria-label': 'Volume', oninput: () => setVolume(Number(volume.value)),
  });
  const begin = button('loop-a', 'loop-a', 'The loop begins here', 'From here');
  const end = button('loop-b', 'loop-b', 'The loop ends here', 'To here');
  const off = button('loop-off', 'loop-off', 'No loop', icon('cross'), 'button.flat');
  const looped = element('span.muted', { testid: 'loop-said' });
  const quiet = element('input', { type: 'checkbox', testid: 'skip-silence', onchange: () => act('silence', quiet.checked) });
  const skipped = element('span.muted', { testid: 'skipped' });
  const live = button('live', 'to-live', 'Go to what is being recorded now', 'To the end so far');
  const waiting = element('span.waiting', { role: 'status' });
  off.hidden = true;
  live.hidden = true;

  const node = element('div.transport', {},
    element('div.transport-line', {},
      button('far-back', 'back', 'Back 10 seconds', '−10 s'),
      play,
      button('far-on', 'forward', 'Forward 10 seconds', '+10 s'),
      time, live, waiting,
      element('div.beside', {},
        element('div.sound', {}, mute, volume),
        element('label.speed', {}, element('span', {}, 'Speed'), speed),
        picture && button('full', 'full', 'Full screen', icon('full'), 'button.flat'))),
    element('div.transport-line.tools', {},
      element('div.loop', { role: 'group', 'aria-label': 'Loop' }, element('span.tool-name', { 'aria-hidden': 'true' }, icon('loop'), 'Loop'), begin, end, looped, off),
      element('label.quiet-skip', {}, quiet, element('span', {}, 'Skip silence')), skipped,
      element('div.beside', {}, copyButton('Copy link', link, 'to this moment'), beside)));

  return {
    node,
    showTime(now, duration, unknown) {
      const text = `${clock(now)} / ${duration > 0 ? clock(duration) : unknown}`;
      if (time.textContent !== text) time.textContent = text;
    },
    showPlaying(playing) {
      playIcon.className = `icon icon-${playing ? 'pause' : 'play'}`;
      for (const name of ['aria-label', 'title']) play.setAttribute(name, playing ? 'Pause' : 'Play');
    },
    showSpeed(value) {
      speed.value = String(value);
    },
    showSound({ volume: loud, muted }) {
      volume.value = String(muted ? 0 : loud);
      soundIcon.className = `icon icon-${muted || loud === 0 ? 'silent' : 'sound'}`;
      for (const name of ['aria-label', 'title']) mute.setAttribute(name, muted ? 'Sound on' : 'Sound off');
    },
    showLoop({ from, to }) {
      off.hidden = from === null;
      looped.textContent = from === null ? '' : `${clock(from)} – ${to === null ? '…' : clock(to)}`;
    },
    /** Whether silence is skipped, how much was; `total` is null where no waveform tells. */
    showSilence({ on, total, seconds }) {
      quiet.checked = on;
      quiet.disabled = total === null;
      quiet.parentElement.title = total === null ? 'Without a waveform it is not known where it is silent' : `${clock(total)} of silence in this recording`;
      skipped.textContent = seconds > 0 ? `${clock(seconds)} skipped` : on && total === 0 ? 'there is none' : '';
    },
    showWaiting(text) {
      if (waiting.textContent !== text) waiting.textContent = text;
    },
    showLive(behind) {
      live.hidden = !behind;
    },
  };
}
