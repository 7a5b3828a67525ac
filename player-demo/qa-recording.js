// What is checked of one recording: that description and media agree, and that every way a player asks is answered right.
// What should happen follows from the catalogue, so that any installation can be checked; the demo's failures are known.
// It knows no page. A check is `{ id, expected, run }`, and `run` gives `{ ok, seen, requestId, ms }`; ok null: not for this one.

import { ask, check, pathOf, problemOf, same, told } from './qa-ask.js';
import { plays } from './qa-plays.js';

/** The codes that the demo's failures are made for. */
export const DEMO_FAILURES = {
  'failure-key-missing': 'key-missing', 'failure-corrupt': 'recording-corrupt', 'failure-media-missing': 'media-missing',
};

const PIECE = 1024;
const POINTS = 100;

/** The checks of one recording. `known` is the code that it must fail with, null where it must play, else undefined. */
export async function checksOf(id, { known, isHeard, signal }) {
  const described = await ask(pathOf(id), { signal });
  const details = described.document();
  const context = { id, details, length: details.media_len, signal, known };
  const first = { id: 'description', expected: expectedOf(known), run: async () => description(described, context) };
  if (described.status !== 200) return [first];
  const rest = !details.playable ? failing(context) : { complete: playing, recording: inProgress, unfinished }[details.state]?.(context) ?? [];
  const heard = details.playable && isHeard ? [{ id: 'plays', expected: 'starts, goes to its middle and plays on in this browser', run: () => plays(id, details, signal) }] : [];
  return [first, ...rest, ...heard];
}

function expectedOf(known) {
  if (known === undefined) return '200, and whether it plays';
  return known === null ? '200, playable' : `200, not playable: ${known}`;
}

function description(answer, { id, details, known }) {
  const code = details.playable === false ? details.problem?.code ?? 'no problem document' : null;
  const ok = answer.status === 200 && details.id === id && typeof details.playable === 'boolean'
    && (details.playable ? details.problem === null : typeof details.problem?.code === 'string')
    && (known === undefined || known === code);
  return told(answer, ok, answer.status === 200 ? (code === null ? 'playable' : `not playable: ${code}`) : problemOf(answer));
}

// Complete ------------------------------------------------------------------------------------------------------------

function playing(context) {
  const { length } = context;
  const middle = Math.floor(length / 2);
  return [
    check('head', `200, ${length} bytes, ${context.details.media_type}, ranges, strong ETag`, () => head(context)),
    ...(length === 0 ? [] : [
      range('first-bytes', context, 0, Math.min(PIECE, length) - 1),
      range('middle', context, middle, Math.min(middle + PIECE, length) - 1),
      range('last-byte', context, length - 1, length - 1),
      check('suffix', `206, the last ${Math.min(PIECE, length)} bytes, the same as asked from the front`, () => suffix(context)),
      check('if-range-same', '206 while the ETag is the same', () => ifRange(context, true)),
      check('if-range-other', '200 with another ETag', () => ifRange(context, false)),
      check('several-ranges', 'multipart/byteranges, each part the same as asked alone', () => several(context)),
    ]),
    check('past-the-end', `416, bytes */${length}, range-not-satisfiable`, () => pastTheEnd(context)),
    check('not-modified', '304 for the ETag that was given, no body', () => notModified(context)),
    check('precondition', '412 for another ETag, precondition-failed', () => precondition(context)),
    check('waveform', '200, channels of the same length, from -1 to 1', () => waveform(context)),
  ];
}

async function head({ id, details, length, signal }) {
  const answer = await ask(pathOf(id, '/media'), { method: 'HEAD', signal });
  const wrong = differences([
    ['status', answer.status, 200], ['Content-Length', answer.header('Content-Length'), String(length)],
    ['Content-Type', answer.header('Content-Type'), details.media_type], ['Accept-Ranges', answer.header('Accept-Ranges'), 'bytes'],
    ['Recording-State', answer.header('Recording-State'), 'complete'], ['Cache-Control', answer.header('Cache-Control'), 'private, no-store'],
    ['X-Content-Type-Options', answer.header('X-Content-Type-Options'), 'nosniff'],
  ]);
  if (!/^"[^"]+"$/.test(answer.header('ETag') ?? '')) wrong.push(`ETag ${answer.header('ETag')}`);
  if (Number.isNaN(Date.parse(answer.header('Last-Modified')))) wrong.push(`Last-Modified ${answer.header('Last-Modified')}`);
  return told(answer, wrong.length === 0, wrong.length === 0 ? `200, ${length} bytes, ETag ${answer.header('ETag')}` : wrong.join('; '));
}

function range(name, context, first, last) {
  return check(name, `206, bytes ${first}-${last}/${context.length}`, async () => {
    const answer = await part(context, `bytes=${first}-${last}`);
    const wrong = differences([
      ['status', answer.status, 206], ['Content-Range', answer.header('Content-Range'), `bytes ${first}-${last}/${context.length}`],
      ['length', answer.bytes.length, last - first + 1],
    ]);
    return told(answer, wrong.length === 0, wrong.length === 0 ? `206, ${answer.bytes.length === 1 ? '1 byte' : `${answer.bytes.length} bytes`}` : wrong.join('; '));
  });
}

async function suffix(context) {
  const many = Math.min(PIECE, context.length);
  const [answer, other] = [await part(context, `bytes=-${many}`), await part(context, `bytes=${context.length - many}-`)];
  const ok = answer.status === 206 && other.status === 206 && answer.bytes.length === many && same(answer.bytes, other.bytes)
    && answer.header('ETag') === other.header('ETag');
  return told(answer, ok, `${answer.status}, ${answer.bytes.length} bytes${ok ? ', the same' : `; from the front ${other.status}, ${other.bytes.length} bytes`}`);
}

async function ifRange(context, isSame) {
  const tag = isSame ? (await part(context, 'bytes=0-0')).header('ETag') ?? '' : '"another"';
  const answer = await part(context, 'bytes=0-0', { 'If-Range': tag });
  return told(answer, answer.status === (isSame ? 206 : 200), String(answer.status));
}

async function several(context) {
  const { length } = context;
  if (length < 64) return { ok: null, seen: 'too short for two ranges' };
  const wanted = [[0, 9], [length - 10, length - 1]];
  const answer = await part(context, `bytes=${wanted.map(([first, last]) => `${first}-${last}`).join(',')}`);
  const type = answer.header('Content-Type') ?? '';
  const boundary = /^multipart\/byteranges; boundary="?([^"]+)"?$/.exec(type)?.[1];
  if (answer.status !== 206 || boundary === undefined) return told(answer, false, `${answer.status}, ${type}`);
  const got = split(answer.bytes, boundary);
  const alone = await Promise.all(wanted.map(([first, last]) => part(context, `bytes=${first}-${last}`)));
  const ok = got.length === 2 && got.every(({ range, bytes }, at) =>
    range === `bytes ${wanted[at].join('-')}/${length}` && same(bytes, alone[at].bytes));
  return told(answer, ok, `206, ${got.length} parts${ok ? ', the same' : `: ${got.map(({ range }) => range).join(', ')}`}`);
}

/** The parts of a multipart body. Latin-1 keeps each byte one character. */
function split(bytes, boundary) {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return text.split(`--${boundary}`).slice(1, -1).map((piece) => {
    const end = piece.indexOf('\r\n\r\n');
    const body = piece.slice(end + 4, -2);
    return {
      range: /content-range: *(.*)/i.exec(piece.slice(0, end))?.[1].trim() ?? 'no Content-Range',
      bytes: Uint8Array.from(body, (character) => character.charCodeAt(0)),
    };
  });
}

async function pastTheEnd(context) {
  const answer = await part(context, `bytes=${context.length}-`);
  const { details, length } = context;
  // A range of an empty recording is ignored.
  if (length === 0) return told(answer, answer.status === 200, `${answer.status}`);
  const wrong = differences([
    ['status', answer.status, 416], ['Content-Range', answer.header('Content-Range'), `bytes */${details.media_len}`],
    ['Playback-Error', answer.header('Playback-Error'), 'range-not-satisfiable'], ['code', answer.document().code, 'range-not-satisfiable'],
  ]);
  return told(answer, wrong.length === 0, wrong.length === 0 ? `416, bytes */${length}` : wrong.join('; '));
}

async function notModified({ id, signal }) {
  const tag = (await ask(pathOf(id, '/media'), { method: 'HEAD', signal })).header('ETag') ?? '';
  const answer = await ask(pathOf(id, '/media'), { headers: { 'If-None-Match': tag }, signal });
  const ok = answer.status === 304 && answer.bytes.length === 0 && answer.header('ETag') === tag;
  return told(answer, ok, `${answer.status}, ETag ${answer.header('ETag')}`);
}

async function precondition({ id, signal }) {
  const answer = await ask(pathOf(id, '/media'), { headers: { 'If-Match': '"another"' }, signal });
  return told(answer, answer.status === 412 && answer.document().code === 'precondition-failed', problemOf(answer));
}

/** No channels: there is no sound, or none that is decoded on the server. */
async function waveform({ id, signal }) {
  const answer = await ask(pathOf(id, `/waveform?points=${POINTS}`), { signal });
  const { channels, duration_s: seconds } = answer.document();
  if (isOlder(answer)) return { ok: null, seen: 'this version of the server has none' };
  const isRight = (peak) => Array.isArray(peak) && peak.length === 2 && peak[0] >= -1 && peak[0] <= peak[1] && peak[1] <= 1;
  const ok = answer.status === 200 && Array.isArray(channels) && (seconds === null || seconds >= 0)
    && channels.every((peaks) => peaks.length > 0 && peaks.length <= POINTS && peaks.length === channels[0].length && peaks.every(isRight));
  return told(answer, ok, ok ? `200, ${channels.length} channels, ${seconds ?? 'unknown'} s` : problemOf(answer));
}

/** A server that has no such page says something else than one that has no such recording. */
function isOlder(answer) {
  return answer.status === 404 && answer.document().code === 'not-found';
}

// In progress, unfinished, failing -------------------------------------------------------------------------------------

function inProgress(context) {
  return [
    check('live-range', '206, bytes 0-0/*, no ETag', async () => {
      const answer = await part(context, 'bytes=0-0');
      const ok = (answer.status === 206 && answer.header('Content-Range') === 'bytes 0-0/*' && answer.header('ETag') === null)
        || (answer.status === 416 && context.length === 0);
      return told(answer, ok, `${answer.status}, ${answer.header('Content-Range')}, ETag ${answer.header('ETag')}`);
    }),
  ];
}

function unfinished(context) {
  const { id, length, signal } = context;
  return [
    check('head', `200, ${length} bytes, unfinished, no ETag`, async () => {
      const answer = await ask(pathOf(id, '/media'), { method: 'HEAD', signal });
      const wrong = differences([
        ['status', answer.status, 200], ['Content-Length', answer.header('Content-Length'), String(length)],
        ['Recording-State', answer.header('Recording-State'), 'unfinished'], ['ETag', answer.header('ETag'), null],
        ['Last-Modified', answer.header('Last-Modified'), null],
      ]);
      return told(answer, wrong.length === 0, wrong.length === 0 ? `200, ${length} bytes` : wrong.join('; '));
    }),
    ...(length === 0 ? [] : [range('first-bytes', context, 0, Math.min(PIECE, length) - 1), range('last-byte', context, length - 1, length - 1)]),
  ];
}

/** What cannot play says the same why everywhere, and gives nothing away. */
function failing(context) {
  const { id, details: { problem }, signal } = context;
  const expected = `${problem.status}, ${problem.code}`;
  return [
    check('media-problem', `${expected}, as the description says`, async () => {
      const answer = await ask(pathOf(id, '/media'), { signal });
      const document = answer.document();
      const wrong = differences([
        ['status', answer.status, problem.status], ['Playback-Error', answer.header('Playback-Error'), problem.code],
        ['Content-Type', answer.header('Content-Type'), 'application/problem+json'], ['code', document.code, problem.code],
        ['status in the document', document.status, problem.status], ['type', document.type, problem.type],
        ['fingerprint', document.fingerprint, problem.fingerprint], ['instance', document.instance, answer.requestId],
      ]);
      return told(answer, wrong.length === 0, wrong.length === 0 ? problemOf(answer) : wrong.join('; '));
    }),
    check('head-problem', `${expected}, no body`, async () => {
      const answer = await ask(pathOf(id, '/media'), { method: 'HEAD', signal });
      const ok = answer.status === problem.status && answer.header('Playback-Error') === problem.code && answer.bytes.length === 0;
      return told(answer, ok, problemOf(answer));
    }),
    check('range-problem', `${expected}, for a range, too`, async () => {
      const answer = await part(context, 'bytes=100-199');
      return told(answer, answer.status === problem.status && answer.document().code === problem.code, problemOf(answer));
    }),
    check('waveform-problem', `${expected}, for the waveform, too`, async () => {
      const answer = await ask(pathOf(id, '/waveform'), { signal });
      if (isOlder(answer)) return { ok: null, seen: 'this version of the server has none' };
      return told(answer, answer.status === problem.status && answer.document().code === problem.code, problemOf(answer));
    }),
    check('problem-page', '200, a page that tells what to do', async () => {
      const answer = await ask(new URL(problem.type, location.origin).pathname, { signal });
      return told(answer, answer.status === 200 && /^text\/html/.test(answer.header('Content-Type') ?? ''), `${answer.status}, ${answer.header('Content-Type')}`);
    }),
  ];
}

// Small things ------------------------------------------------------------------------------------------------------

function part({ id, signal }, range, headers = {}) {
  return ask(pathOf(id, '/media'), { headers: { Range: range, ...headers }, signal });
}

/** What differs, as text, from `[name, seen, wanted]`. */
function differences(facts) {
  return facts.filter(([, seen, wanted]) => seen !== wanted).map(([name, seen, wanted]) => `${name} is ${seen}, not ${wanted}`);
}
