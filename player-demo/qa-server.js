// What is checked of the server as a whole: health, the catalogue, what it refuses and how, links, and in the demo the
// switch. Nothing is written, but for links that are minted and, in the demo, the switch, which is put back.

import { demoEncryption, setDemoEncryption } from './api.js';
import { ask, check, pathOf, problemOf, told } from './qa-ask.js';

const LINK_TTL_S = 1;

/** The checks; `playable` is a recording that plays, or null; `isDemo` says that there is a switch. */
export function checksOfServer({ playable, isDemo, signal }) {
  return [
    answers('alive', '/livez', 200, null, { signal }),
    check('ready', '200, nothing degraded', async () => {
      const answer = await ask('/readyz', { signal });
      const { degraded } = answer.document();
      return told(answer, answer.status === 200 && degraded?.length === 0, `${answer.status}, degraded: ${degraded?.join(', ') || 'nothing'}`);
    }),
    check('catalogue', '200, recordings, each with an ID', async () => {
      const answer = await ask('/recordings?limit=5', { signal });
      const { recordings } = answer.document();
      const ok = answer.status === 200 && Array.isArray(recordings) && recordings.every(({ id }) => typeof id === 'string');
      return told(answer, ok, `${answer.status}, ${recordings?.length ?? 'no'} recordings`);
    }),
    answers('no-such-recording', pathOf('no-such.recording@qa', '/media'), 404, 'recording-not-found', { signal }),
    answers('impossible-id', pathOf('../x', '/media'), 404, 'recording-not-found', { signal }),
    answers('no-such-page', '/no-such-page', 404, 'not-found', { signal }),
    answers('no-such-method', '/recordings', 405, 'method-not-allowed', { method: 'POST', signal }),
    answers('bad-listing', '/recordings?limit=none', 400, 'bad-request', { signal }),
    answers('false-token', '/recordings', 401, 'unauthenticated', { headers: { Authorization: 'Bearer x.y.z' }, isSignedIn: false, signal }),
    ...(playable === null ? [] : links(playable, signal)),
    ...(playable !== null && isDemo ? [demoSwitch(playable, signal)] : []),
  ];
}

function links(id, signal) {
  const media = pathOf(id, '/media');
  const by = (link) => ask(`${media}?link=${encodeURIComponent(link)}`, { headers: { Range: 'bytes=0-0' }, isSignedIn: false, signal });
  return [
    check('link', 'plays by a signed link alone', async () => {
      const answer = await by(await mint(id, 60, signal));
      return told(answer, answer.status === 206 && answer.header('Cross-Origin-Resource-Policy') !== 'same-origin', problemOf(answer));
    }),
    check('changed-link', '403, forbidden', async () => {
      const link = await mint(id, 60, signal);
      const answer = await by(`${link.slice(0, -2)}${link.endsWith('AA') ? 'BB' : 'AA'}`);
      return told(answer, answer.status === 403 && answer.header('Playback-Error') === 'forbidden', problemOf(answer));
    }),
    check('expired-link', '403, link-expired', async () => {
      const link = await mint(id, LINK_TTL_S, signal);
      await new Promise((resolve) => { setTimeout(resolve, LINK_TTL_S * 1000 + 300); });
      const answer = await by(link);
      return told(answer, answer.status === 403 && answer.header('Playback-Error') === 'link-expired', problemOf(answer));
    }),
  ];
}

async function mint(id, seconds, signal) {
  const answer = await ask(pathOf(id, '/link'), {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ttl: `${seconds}s` }), signal,
  });
  if (answer.status !== 200) throw new Error(`no link was given: ${problemOf(answer)}`);
  return new URL(answer.document().url, location.href).searchParams.get('link');
}

/** Off, what is sealed does not play; on again, it does. */
function demoSwitch(id, signal) {
  return check('encryption-switch', '409, encryption-disabled while it is off; plays again after', async () => {
    if (await demoEncryption() !== true) return { ok: null, seen: 'encryption is switched off' };
    const media = () => ask(pathOf(id, '/media'), { headers: { Range: 'bytes=0-0' }, signal });
    await setDemoEncryption(false);
    const off = await media().finally(() => setDemoEncryption(true));
    const on = await media();
    const ok = off.status === 409 && off.header('Playback-Error') === 'encryption-disabled' && on.status === 206;
    return told(off, ok, `${problemOf(off)}; then ${problemOf(on)}`);
  });
}

function answers(id, path, status, code, options) {
  return check(id, [status, code].filter(Boolean).join(', '), async () => {
    const answer = await ask(path, options);
    return told(answer, answer.status === status && (code === null || answer.document().code === code), problemOf(answer));
  });
}
