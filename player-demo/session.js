// Keeps who is signed in, for this tab alone: a bearer token from the address (`#token=…`), and a signed link a recording.
// Media elements cannot send headers, so they play by links. It speaks no HTTP itself: how a link is minted is handed in.

const KEY = 'sealtape-token';
/** A link that ends sooner than this is renewed before it is used. */
const SPARE_MS = 60_000;

let token = restore();
const links = new Map();

/**
 * Takes a token out of the address, so that it stays neither in the history nor in a copied link, and signs in with it.
 * True when there was one.
 */
export function takeToken() {
  const found = /[#?&]token=([^&]*)/.exec(location.hash);
  if (found === null) return false;
  const rest = location.hash
    .replace(/([#?&])token=[^&]*&?/g, '$1')
    .replace(/[#?&]$/, '');
  history.replaceState(null, '', location.pathname + location.search + rest);
  token = decode(found[1]);
  links.clear();
  keep(token);
  return true;
}

/** Forgets the token; the server does not take it any more. */
export function signOut() {
  token = null;
  links.clear();
  keep(null);
}

/** The headers that say who asks. */
export function credentials() {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

/** The query parameter that lets a media element play; empty where nobody is asked who they are. */
export function linkParameter(id) {
  const known = links.get(id);
  return known === undefined ? '' : `link=${encodeURIComponent(known.link)}`;
}

/** Sees that there is a good link to a recording; `mint` gives `{ url, expires_at }`, `now` is the time by the server's clock. */
export async function ensureLink(id, mint, now) {
  if (token === null) return;
  const known = links.get(id);
  if (known !== undefined && known.until - now > SPARE_MS) return;
  const { url, expires_at } = await mint();
  links.set(id, { link: new URL(url, location.href).searchParams.get('link'), until: Date.parse(expires_at) });
}

/** The link to a recording is not good any more. */
export function dropLink(id) {
  links.delete(id);
}

function restore() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Without storage it is forgotten with the page. */
function keep(value) {
  try {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch {
    // Nothing is lost but the next reload.
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
