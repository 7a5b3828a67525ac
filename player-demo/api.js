// Speaks HTTP with the server: one function a request, and one kind of error, `Problem`.
// It knows no page. What the server answers is handed on as it is; what never came is told as a problem of this page's own.

import { credentials, dropLink, ensureLink, linkParameter, signOut } from './session.js';

/** A problem document (RFC 9457), or what stands for one where no answer came. */
export class Problem extends Error {
  constructor(document) {
    super(document.title ?? 'Something went wrong');
    this.document = document;
  }
}

/** By how much the server's clock is ahead of this one, in milliseconds. */
let ahead = 0;

/** The time by the server's clock, as far as its last answer told. */
export function serverNow() {
  return Date.now() + ahead;
}

/** One page of the catalogue, or of what `query` looks for in it, newest first: `{ recordings, next }`. It may be empty, and another follow. */
export function recordings({ limit = 50, after = null, query: wanted = {}, signal } = {}) {
  const query = new URLSearchParams({ limit: String(limit), ...wanted });
  if (after !== null) query.set('after', after);
  return json(`/recordings?${query}`, { signal });
}

/**
 * One recording. The server opens its file for this answer, so `playable` is the truth of now. Whoever is signed in gets
 * a link with it, by which `mediaUrl` plays.
 */
export async function recording(id, { signal } = {}) {
  const found = await json(path(id), { signal });
  if (found.playable) await ensureLink(id, () => json(`${path(id)}/link`, { method: 'POST', signal }), serverNow());
  return found;
}

/** The loudest and quietest of each of `points` parts: `{ channels: [[[min, max], …]], duration_s }`; no channels where it cannot be told. */
export function waveform(id, points, { signal } = {}) {
  return json(`${path(id)}/waveform?points=${points}`, { signal });
}

/** Where the decrypted media streams from; with a file name, as a download. */
export function mediaUrl(id, download = null) {
  const query = [linkParameter(id), download === null ? '' : `download=${encodeURIComponent(download)}`];
  const given = query.filter((part) => part !== '').join('&');
  return `${path(id)}/media${given === '' ? '' : `?${given}`}`;
}

/** Whether a recording plays by a signed link here. */
export function playsByLink(id) {
  return linkParameter(id) !== '';
}

/** The link is not good any more: the next `recording` mints another. */
export function forgetLink(id) {
  dropLink(id);
}

export function sidecarUrl(id, name) {
  const link = linkParameter(id);
  return `${path(id)}/sidecars/${encodeURIComponent(name)}${link === '' ? '' : `?${link}`}`;
}

/** Whether the demo's encryption is on; null where the server has no such switch. */
export async function demoEncryption() {
  try {
    const { enabled } = await json('/demo/encryption');
    return typeof enabled === 'boolean' ? enabled : null;
  } catch {
    return null;
  }
}

export async function setDemoEncryption(enabled) {
  await request('/demo/encryption', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ enabled }),
  });
}

/**
 * The media bytes from `first` to `last` (both included), fewer where it ends before.
 * A connection that is cut is asked again from where it broke: only the answer to that request can say why.
 */
export async function readMedia(id, first, last, { signal } = {}) {
  const wanted = last - first + 1;
  const parts = [];
  let had = 0;
  for (;;) {
    const response = await request(mediaUrl(id), { headers: { Range: `bytes=${first + had}-${last}` }, signal });
    if (response.status !== 206 && first + had > 0) {
      await response.body?.cancel();
      break;
    }
    const before = had;
    const whole = await drain(response, wanted - had, (part) => {
      parts.push(part);
      had += part.length;
    });
    if (whole || had >= wanted) break;
    if (had === before) throw new Problem(CUT);
  }
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return bytes.subarray(0, wanted);
}

/** The media from byte `first` on, in pieces as they come; of what is being recorded, to its end. */
export async function* mediaFrom(id, first, { signal }) {
  const response = await request(mediaUrl(id), { headers: { Range: `bytes=${first}-${LAST_POSITION}` }, signal });
  // Who strips ranges on the way makes this impossible.
  if (response.status !== 206) throw new Problem({ ...UNREADABLE, status: response.status });
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Problem(CUT);
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Reads a body until it ends or enough has come; false when it was cut. */
async function drain(response, enough, take) {
  const reader = response.body.getReader();
  let came = 0;
  try {
    while (came < enough) {
      const { done, value } = await reader.read();
      if (done) return true;
      take(value);
      came += value.length;
    }
    await reader.cancel();
    return true;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    return false;
  }
}

async function json(url, options) {
  const response = await request(url, { ...options, headers: { Accept: 'application/json' } });
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(error instanceof SyntaxError ? UNREADABLE : CUT);
  }
}

/** A response that succeeded; anything else is thrown as a `Problem`. */
async function request(url, { headers = {}, ...options } = {}) {
  const asking = credentials();
  let response;
  try {
    response = await fetch(url, { cache: 'no-store', ...options, headers: { ...asking, ...headers } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(UNREACHABLE);
  }
  const told = Date.parse(response.headers.get('Date') ?? '');
  if (!Number.isNaN(told)) ahead = told - Date.now();
  if (response.ok) return response;
  const problem = await problemOf(response);
  // A token that is not taken now is not taken later; another may have come meanwhile.
  if (response.status === 401 && asking.Authorization === credentials().Authorization) signOut();
  throw new Problem(problem);
}

async function problemOf(response) {
  const known = {
    code: response.headers.get('Playback-Error') ?? `http-${response.status}`,
    title: `The server answered ${response.status} ${response.statusText}`.trim(),
    status: response.status,
    instance: response.headers.get('X-Request-Id') ?? undefined,
  };
  try {
    const document = await response.json();
    return document !== null && typeof document === 'object' ? { ...known, ...document } : known;
  } catch {
    return known;
  }
}

function path(id) {
  return `/recordings/${encodeURIComponent(id)}`;
}

/** A range that ends here asks for all that comes (RFC 8673). */
const LAST_POSITION = Number.MAX_SAFE_INTEGER;

const UNREACHABLE = {
  code: 'server-unreachable',
  title: 'The server cannot be reached',
  detail: 'No answer came. The server may be restarting, or the network between here and there may be down.',
};

const CUT = {
  code: 'connection-cut',
  title: 'The connection was cut',
  detail: 'The server began to answer and then stopped before the end, which is how it signals trouble on its way.',
};

const UNREADABLE = {
  code: 'answer-unreadable',
  title: 'The answer cannot be read',
  detail: 'What came back is not what this page understands. Something between here and the server may have changed it.',
};
