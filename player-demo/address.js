// Reads and writes the page's address: `#/recordings/ID?t=SECONDS` for a recording, `#/?q=…&tag=…` for a search, and both in one.
// It knows no page and fetches nothing; every function is pure but for `location`, which `momentLink` builds on.

/** The names under which a search stands in the address, and in the order in which it is written. */
export const FILTER_NAMES = ['q', 'from', 'to', 'agent', 'tag', 'group', 'state'];

/** `{ id, at, filter }`: the recording or null, the second or null, and those of the search's names that have a value. */
export function parse(hash) {
  const [, encoded, query = ''] = /^#\/(?:recordings\/([^/?]+))?(?:\?(.*))?$/.exec(hash) ?? [];
  const given = new URLSearchParams(query);
  const seconds = Number.parseFloat(given.get('t') ?? '');
  const filter = {};
  for (const name of FILTER_NAMES) {
    const value = given.get(name)?.trim();
    if (value) filter[name] = value;
  }
  return {
    id: encoded === undefined ? null : decode(encoded),
    at: encoded !== undefined && Number.isFinite(seconds) && seconds >= 0 ? seconds : null,
    filter,
  };
}

/** The address of a recording, of a search, or of a recording in what a search found. */
export function format({ id = null, at = null, filter = {} }) {
  const query = new URLSearchParams();
  if (at !== null) query.set('t', String(Math.floor(at)));
  for (const name of FILTER_NAMES) if (filter[name]) query.set(name, filter[name]);
  const said = query.toString();
  return `#/${id === null ? '' : `recordings/${encodeURIComponent(id)}`}${said === '' ? '' : `?${said}`}`;
}

/** A whole link to a moment of a recording, for somebody else: without the search by which it was found. */
export function momentLink(id, seconds) {
  const url = new URL(location.href);
  url.hash = format({ id, at: seconds });
  return url.href;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
