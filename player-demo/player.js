// Opens one recording and shows what fits it: a player, a download, or why it cannot play; finds out why when playing fails.
// It does not know the list or the address; media.js knows the element, problem.js the problem panel.

import * as api from './api.js';
import { ENOUGH, nameCodec } from './codec.js';
import { element, icon } from './dom.js';
import { factsOf, sealBadge, stateBadge } from './facts.js';
import { createMedia } from './media.js';
import { problemPanel } from './problem.js';
import { clock, fileName, kind, playerFor } from './words.js';

export function createPlayer(host, announce) {
  let id = null;
  let details = null;
  let media = null;
  let place = { time: 0, playing: false };
  /** Every new intention takes a turn; what an older one still brings is dropped. */
  let turn = 0;
  /** When a link that was refused was last replaced. */
  let renewed = -Infinity;

  const head = element('div.detail-head');
  const notes = element('div.notes');
  const stage = element('div.stage');
  const facts = element('div.detail-facts');
  close();

  /** Opens a recording, at a second when one is given; the one that is open already is only moved there. */
  async function open(wanted, at) {
    if (wanted === id && media !== null) {
      if (at !== null) media.seek(at);
      return;
    }
    drop();
    id = wanted;
    details = null;
    place = { time: at ?? 0, playing: false };
    host.replaceChildren(element('a.back', { href: '#/' }, 'All recordings'), head, notes, stage, facts);
    renderHead();
    notes.replaceChildren();
    facts.replaceChildren();
    stage.replaceChildren(element('p.muted', {}, 'Opening …'));
    await load();
  }

  /** Asks again what the server says of the recording; one that goes on playing is left in peace. */
  async function refresh() {
    if (id !== null) await load({ keep: true });
  }

  function close() {
    drop();
    id = null;
    host.replaceChildren(element('div.idle', {}, icon('tape'),
      element('p', {}, 'Choose a recording to play it.'),
      element('p.muted', {}, 'Sealed recordings are decrypted by the server while they stream. The page needs no key and keeps no copy.')));
  }

  async function load({ keep = false } = {}) {
    const mine = ++turn;
    try {
      const fresh = await api.recording(id);
      if (mine !== turn) return;
      details = fresh;
      renderHead();
      facts.replaceChildren(factsOf(details));
      if (!details.playable) fail(details.problem ?? {});
      else if (!(keep && media?.works())) show();
    } catch (error) {
      if (mine === turn) failWith(error);
    }
  }

  /** A recording that the server can play: the player for it, or a download. */
  function show() {
    drop();
    renderNotes();
    const family = playerFor(details);
    if (family === null) {
      stage.replaceChildren(note(`There is no player here for this kind of file: ${kind(details)} (${details.media_type}). Download it to open it.`),
        element('div.actions', {}, downloadLink(true)));
      announce(`${details.id}: ${kind(details)}, to download`);
    } else if (document.createElement(family).canPlayType(details.media_type) === '') {
      lacksCodec(null, { tried: false });
    } else {
      mount();
    }
  }

  function mount() {
    drop();
    media = createMedia(details, place, { failed: diagnose, pictureless, beside: downloadLink(false) });
    stage.replaceChildren(media.node);
    announce(`${details.id}: ${kind(details)}, ready to play`);
  }

  /** Why did the element fail? The server may know (a problem), the bytes may not come, or the browser lacks the codec. */
  async function diagnose({ code, started }) {
    const mine = ++turn;
    const range = media.bytesAround();
    place = media.place();
    const playedFrom = api.mediaUrl(id);
    try {
      const fresh = await api.recording(id);
      if (mine !== turn) return;
      if (fresh.playable && api.mediaUrl(id) !== playedFrom) {
        // Its link had run out, and there is another one now: it goes on from its place.
        mount();
        return;
      }
      if (!fresh.playable) {
        fail(fresh.problem ?? {});
        return;
      }
      const first = await firstBytes();
      if (first === null) return;
      if (started && fresh.media_len > 0) await api.readMedia(id, range[0], range[1]);
      if (mine !== turn) return;
      const codec = nameCodec(first);
      if (started || canPlay(codec)) fail(interrupted({ code, started, codec }, place.time), downloadLink(false));
      else lacksCodec(codec, { tried: true });
    } catch (error) {
      if (mine === turn) failWith(error);
    }
  }

  /** Whether a new link may help; one that was just renewed and is refused again does not. */
  function isOfLink(code) {
    return ['link-expired', 'forbidden'].includes(code) && api.playsByLink(id) && performance.now() - renewed > RENEWAL_PAUSE_MS;
  }

  /** The first bytes; null when the link had run out, and playing goes on from the same place with a new one. */
  async function firstBytes() {
    const mine = turn;
    try {
      return await api.readMedia(id, 0, ENOUGH - 1);
    } catch (error) {
      if (!(error instanceof api.Problem) || !isOfLink(error.document.code)) throw error;
      renewed = performance.now();
      api.forgetLink(id);
      await api.recording(id);
      if (mine === turn) mount();
      return null;
    }
  }

  /** Says that the browser cannot play this, with the codec's name as soon as the first bytes have told it. */
  async function lacksCodec(known, { tried }) {
    drop();
    const mine = turn;
    const words = element('p');
    const say = (codec) => {
      const what = codec?.name ?? `this kind of ${kind(details).toLowerCase()} (${details.media_type})`;
      const unknown = tried && codec === null;
      words.textContent = `This browser cannot play ${what}. ${unknown ? UNRECOGNISED : REASSURANCE[details.state] ?? REASSURANCE.complete} Download it and open it in a program that knows the format.`;
    };
    say(known);
    // Browsers play more than they admit by media type, so where nothing was tried yet, trying stays possible.
    const anyway = !tried && element('button', { type: 'button', testid: 'anyway', onclick: mount }, 'Try to play it here');
    stage.replaceChildren(element('div.codec-note', { testid: 'codec-note' }, icon('info'), words),
      element('div.actions', {}, downloadLink(true), anyway));
    if (!tried) {
      try {
        const codec = nameCodec(await api.readMedia(id, 0, ENOUGH - 1));
        if (mine !== turn) return;
        say(codec);
      } catch (error) {
        if (mine === turn) failWith(error);
        return;
      }
    }
    announce(words.textContent);
  }

  /** A video of which only the sound plays. */
  async function pictureless() {
    const mine = turn;
    const codec = await api.readMedia(id, 0, ENOUGH - 1).then(nameCodec, () => null);
    if (mine !== turn || media === null) return;
    const words = `This browser plays only the sound of this recording${codec === null ? '' : `: its format is ${codec.name}`}. Download it to see the picture.`;
    notes.append(element('div.codec-note', { testid: 'codec-note' }, icon('info'), element('p', {}, words)));
    announce(words);
  }

  function failWith(error) {
    if (!(error instanceof api.Problem)) throw error;
    fail(error.document);
  }

  function fail(problem, beside = null) {
    drop();
    notes.replaceChildren();
    const kept = place.time > 0 && element('p.muted', { testid: 'kept-place' }, `The place is kept: playing goes on from ${clock(place.time)}.`);
    stage.replaceChildren(...[problemPanel(problem, retry), kept, beside && element('div.actions', {}, beside)].filter(Boolean));
    announce(`${id} cannot be played: ${problem.title ?? 'unknown problem'}`);
  }

  async function retry() {
    await load();
    const next = stage.querySelector('[data-testid="retry"]') ?? stage.querySelector('audio, video, a');
    next?.focus();
  }

  /** Takes the element down, keeping its place. */
  function drop() {
    turn += 1;
    if (media === null) return;
    place = media.place();
    media.close();
    media = null;
  }

  function renderHead() {
    head.replaceChildren(
      element('h2', {}, id),
      element('p.badges', {}, details && [element('span.muted', {}, kind(details)), stateBadge(details), sealBadge(details)]));
  }

  function renderNotes() {
    notes.replaceChildren(...[
      details.state === 'unfinished' && note('This recording ends early: its recorder stopped before the end.'),
      details.state === 'recording' && note('This recording is still being made. It plays what is there and follows.'),
      details.mended && note('This recording was mended: it is the part that could be verified.'),
    ].filter(Boolean));
  }

  function downloadLink(primary) {
    const name = fileName(details);
    return element(primary ? 'a.button.primary' : 'a.button', { testid: 'download', href: api.mediaUrl(id, name), download: name },
      icon('download'), 'Download');
  }

  return { open, refresh, close, key: (key) => media !== null && media.key(key) };
}

function note(text) {
  return element('p.note', { testid: 'note' }, icon('info'), element('span', {}, text));
}

function canPlay(codec) {
  return codec?.type !== null && codec?.type !== undefined && document.createElement('video').canPlayType(codec.type) !== '';
}

/** The server has nothing to say against it, and yet the element stopped, or never began. */
function interrupted({ code, started, codec }, seconds) {
  if (started && code === MediaError.MEDIA_ERR_NETWORK) {
    return {
      code: 'connection-cut',
      title: `Playing stopped at ${clock(seconds)}`,
      detail: 'The stream broke off on its way. The server can be reached and has no fault to report now.',
    };
  }
  return {
    code: 'decoding-failed',
    title: started ? `Playing stopped at ${clock(seconds)}` : 'The browser could not open this recording',
    detail: `${codec === null ? '' : `It looks like ${codec.name}. `}The server has no fault to report, and yet the browser could not decode what came. `
      + 'Try again; if that does not help, look at the file itself with a program for its format.',
  };
}

const RENEWAL_PAUSE_MS = 10_000;

const UNRECOGNISED = 'Its first bytes belong to no format known here, though the server has no fault to report.';

/** What can be said for a recording that the browser does not play. An early end may lack what a player needs. */
const REASSURANCE = {
  complete: 'The recording itself is fine.',
  recording: 'It is still being made, and may play when it is complete.',
  unfinished: 'Its recorder stopped before the end, so what a player needs may never have been written.',
};
