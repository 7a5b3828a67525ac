// Opens one recording and shows what fits it: a player, a download, or why it cannot play; goes on when playing was interrupted.
// It does not know the list or the address; deck.js knows the controls, diagnosis.js why something failed.

import * as api from './api.js';
import { playAlong } from './companion.js';
import { createDeck } from './deck.js';
import { diagnose, interruption } from './diagnosis.js';
import { element, freshLink, icon } from './dom.js';
import { factsOf, sealBadge, stateBadge } from './facts.js';
import { companionOf, groupPanel, othersOf } from './group.js';
import { codecOf, lackingNote, picturelessNote } from './lacking.js';
import { watchLive } from './live.js';
import { createMedia } from './media.js';
import { problemPanel } from './problem.js';
import { sentenceOf } from './trouble.js';
import { clock, fileName, kind, playerFor } from './words.js';

/** How often in a row a stream that broke off is taken up again by itself, and how long it must play to count as mended. */
const RESUMES = { cut: 4, undecodable: 1, renewed: 2 };
const RESUME_PAUSE_MS = 400;
const MENDED_S = 3;

/** `home()` is the address of the list. */
export function createPlayer(host, { announce, home }) {
  let id = null;
  let details = null;
  let others = [];
  /** What plays: the element, its deck, and what plays along. */
  let playing = null;
  let live = null;
  let place = { time: 0, playing: false };
  let marks = { from: null, to: null };
  let resumed = { count: 0, at: 0 };
  /** What had the focus in a deck that is replaced. */
  let focused = null;
  /** Every new intention takes a turn, and aborts what an older one still waits for. */
  let turn = new AbortController();

  const head = element('div.detail-head');
  const notes = element('div.notes');
  const stage = element('div.stage');
  const group = element('div.detail-group');
  const facts = element('div.detail-facts');
  close();

  /** Opens a recording, at a second when one is given; the one that is open already is only moved there. */
  async function open(wanted, at) {
    if (wanted === id && (playing !== null || at === null)) {
      if (at !== null) playing.media.seek(at);
      return;
    }
    drop();
    [id, details, others] = [wanted, null, []];
    place = { time: at ?? 0, playing: false };
    marks = { from: null, to: null };
    resumed = { count: 0, at: 0 };
    host.replaceChildren(element('a.back', { href: home() }, 'All recordings'), head, notes, stage, group, facts);
    for (const part of [notes, group, facts]) part.replaceChildren();
    renderHead();
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
    const { signal } = takeTurn();
    await told(async () => {
      const fresh = await api.recording(id, { signal });
      if (fresh.metadata?.group) others = await othersOf(fresh, { signal }).catch(passOver);
      if (signal.aborted) return;
      learn(fresh);
      if (!details.playable) fail(details.problem ?? {});
      else if (!(keep && playing?.media.works())) show();
    }, signal);
  }

  function takeTurn() {
    turn.abort();
    turn = new AbortController();
    return turn;
  }

  /** A recording as the server tells it now. */
  function learn(fresh) {
    details = fresh;
    live?.close();
    live = details.state === 'recording' && details.playable ? watchLive(details, { changed: goOn }) : null;
    renderHead();
    facts.replaceChildren(factsOf(details));
    group.replaceChildren(...[groupPanel(details, others)].filter(Boolean));
  }

  /** What is being recorded has grown, or has come to its end: then it is played as a whole, from the same place. */
  function goOn(fresh) {
    if (fresh.state === 'recording' && fresh.playable) {
      details = fresh;
      facts.replaceChildren(factsOf(details));
      return;
    }
    learn(fresh);
    if (!details.playable) {
      fail(details.problem ?? {});
      return;
    }
    show();
    announce(`${id}: the recording is ${details.state} now`);
  }

  /** A recording that the server can play: the player for it, or a download. */
  function show() {
    drop({ watch: true });
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
    drop({ watch: true });
    const media = createMedia(details, place, { failed: whyFailed, pictureless });
    const along = companionOf(details, others);
    const companion = along === null ? null : playAlong(media, along);
    const deck = createDeck(details, media, { beside: downloadLink(false), companion: companion?.node ?? null, announce, stalled: whyStalled });
    playing = { media, deck, companion };
    stage.replaceChildren(deck.node);
    deck.restore(marks);
    if (document.activeElement === document.body) stage.querySelector(`[data-testid="${focused}"]`)?.focus({ preventScroll: true });
    focused = null;
    media.on('timeupdate', () => {
      if (Math.abs(media.time() - resumed.at) > MENDED_S) resumed.count = 0;
    });
    media.on('ended', () => live?.look());
    announce(`${details.id}: ${kind(details)}, ready to play`);
  }

  /** The element failed: the cause is looked for, and where it can be, playing goes on from its place. */
  async function whyFailed(failure) {
    const { media } = playing;
    const { signal } = takeTurn();
    place = media.place();
    await told(async () => {
      const mayRenew = resumed.count < RESUMES.renewed;
      const found = await diagnose(id, { failure, range: media.bytesAround(), playedFrom: media.source(), mayRenew, signal });
      if (signal.aborted) return;
      if (found.verdict === 'problem') fail(found.problem);
      else if (found.verdict === 'lacking') lacksCodec(found.codec, { tried: true });
      else if (resumed.count < RESUMES[found.verdict]) await resume(signal);
      else fail(interruption(found, place.time), downloadLink(false));
    }, signal);
  }

  /** Nothing comes, and the browser still tries: the server may know why. Without a reason it is waited on. */
  async function whyStalled() {
    const { signal } = turn;
    await told(async () => {
      const fresh = await api.recording(id, { signal });
      if (!signal.aborted && !fresh.playable) fail(fresh.problem ?? {});
    }, signal);
  }

  async function resume(signal) {
    resumed = { count: resumed.count + 1, at: place.time };
    await new Promise((done) => { setTimeout(done, RESUME_PAUSE_MS * resumed.count); });
    if (!signal.aborted) mount();
  }

  /** Says that the browser cannot play this, with the codec's name as soon as the first bytes have told it. */
  async function lacksCodec(known, { tried }) {
    drop({ watch: true });
    const { signal } = turn;
    const lacking = lackingNote(details);
    lacking.say(known, { tried });
    // Browsers play more than they admit by media type, so where nothing was tried yet, trying stays possible.
    const anyway = !tried && element('button', { type: 'button', testid: 'anyway', onclick: mount }, 'Try to play it here');
    stage.replaceChildren(lacking.node, element('div.actions', {}, downloadLink(true), anyway));
    await told(async () => {
      if (!tried) lacking.say(await codecOf(id, { signal }), { tried });
      announce(lacking.text());
    }, signal);
  }

  /** A video of which only the sound plays. */
  async function pictureless() {
    const { signal } = turn;
    const codec = await codecOf(id, { signal }).catch(() => null);
    if (!signal.aborted && playing !== null) notes.append(picturelessNote(codec));
  }

  /** Runs what asks the server; a problem is shown, and what an older intention still brings is dropped. */
  async function told(act, signal) {
    try {
      await act();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof api.Problem)) throw error;
      fail(error.document);
    }
  }

  function fail(problem, beside = null) {
    drop();
    notes.replaceChildren();
    const kept = place.time > 0 ? `The place is kept: playing goes on from ${clock(place.time)}.` : null;
    stage.replaceChildren(problemPanel(problem, retry, { recording: id, kept, beside }));
    announce(`${id} cannot be played: ${sentenceOf(problem).title}`);
  }

  async function retry() {
    resumed.count = 0;
    await load();
    (stage.querySelector('[data-testid="retry"]') ?? stage.querySelector('[data-testid="play"], a'))?.focus();
  }

  /** Takes the element down, keeping its place; `watch` leaves alone what is being recorded. */
  function drop({ watch = false } = {}) {
    takeTurn();
    if (!watch) {
      live?.close();
      live = null;
    }
    if (playing === null) return;
    place = playing.media.place();
    marks = playing.deck.marks();
    focused = stage.contains(document.activeElement) ? document.activeElement.dataset.testid ?? null : null;
    playing.deck.close();
    playing.companion?.close();
    playing.media.close();
    playing = null;
  }

  function renderHead() {
    head.replaceChildren(
      element('h2', {}, id),
      element('p.badges', {}, details && [element('span.muted', {}, kind(details)), live?.node ?? stateBadge(details), sealBadge(details)]));
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
    const selector = primary ? 'a.button.primary' : 'a.button';
    return freshLink(selector, () => api.mediaUrl(details.id, name), { testid: 'download', download: name }, icon('download'), 'Download');
  }

  return { open, refresh, close, act: (meaning) => playing !== null && playing.deck.act(meaning) };
}

/** The group is an addition: without it the recording still plays. */
function passOver(error) {
  if (!(error instanceof api.Problem)) throw error;
  return [];
}

function note(text) {
  return element('p.note', { testid: 'note' }, icon('info'), element('span', {}, text));
}
