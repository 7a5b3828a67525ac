// One request of a check, and what came of it as it is: status, headers, bytes, how long it took, its request ID.
// It knows no page and no recording. The caller's token goes along unless it is left out.

import { credentials } from './session.js';

/** Longer answers are let go of: no check needs more of a recording. */
const ENOUGH = 65_536;
/** An answer that takes longer than this is none. */
const PATIENCE_MS = 60_000;

/**
 * `{ status, header(name), bytes, ms, requestId, document() }`. Throws where no answer came in time, or one was cut before
 * `enough` bytes of it were there.
 */
export async function ask(path, { method = 'GET', headers = {}, body, signal, isSignedIn = true, enough = ENOUGH } = {}) {
  const begun = performance.now();
  const all = { ...(isSignedIn ? credentials() : {}), ...headers };
  const late = AbortSignal.timeout(PATIENCE_MS);
  const either = signal === undefined ? late : AbortSignal.any([signal, late]);
  let response, bytes;
  try {
    response = await fetch(path, { method, headers: all, body, signal: either, cache: 'no-store', credentials: 'omit' });
    bytes = response.body === null ? new Uint8Array() : await read(response.body.getReader(), enough);
  } catch (error) {
    throw error.name === 'TimeoutError' ? new Error(`no answer within ${PATIENCE_MS / 1000} s`) : error;
  }
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    bytes,
    ms: Math.round(performance.now() - begun),
    requestId: response.headers.get('X-Request-Id'),
    /** The body as JSON; an empty object where it is none. */
    document: () => {
      try {
        const document = JSON.parse(new TextDecoder().decode(bytes));
        return document !== null && typeof document === 'object' ? document : {};
      } catch {
        return {};
      }
    },
  };
}

async function read(reader, enough) {
  const bytes = new Uint8Array(enough);
  let had = 0;
  while (had < enough) {
    const { done, value } = await reader.read();
    if (done) return bytes.subarray(0, had);
    bytes.set(value.subarray(0, enough - had), had);
    had += Math.min(value.length, enough - had);
  }
  await reader.cancel();
  return bytes;
}

export function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** `/recordings/ID` and what follows. */
export function pathOf(id, what = '') {
  return `/recordings/${encodeURIComponent(id)}${what}`;
}

/** One check: its name, what should happen, and what finds out. */
export function check(id, expected, run) {
  return { id, expected, run };
}

/** What a check found, by the answer that told it; `ok` null: it does not apply. */
export function told({ requestId, ms }, ok, seen) {
  return { ok, seen, requestId, ms };
}

/** Status and code of an answer, as text. */
export function problemOf(answer) {
  return [answer.status, answer.header('Playback-Error') ?? answer.document().code].filter(Boolean).join(', ');
}
