// Wires the page together: the list, the player, the demo switch, and the address (`#/recordings/ID?t=SECONDS`).
// It knows no recording and speaks no HTTP itself.

import { showSwitch } from './demo.js';
import { createList } from './list.js';
import { createPlayer } from './player.js';
import { takeToken } from './session.js';

const detail = document.getElementById('detail');
const announcer = document.getElementById('announcer');
const stacked = matchMedia('not all and (min-width: 56rem)');

const list = createList(document.getElementById('list'), announce);
const player = createPlayer(detail, announce);

takeToken();
addEventListener('hashchange', () => {
  if (takeToken()) list.refresh();
  route().then(showDetail);
  showDetail();
});
document.addEventListener('keydown', onKey);
showSwitch(document.getElementById('demo'), () => Promise.all([list.refresh(), player.refresh()]));
Promise.all([list.refresh(), route()]).then(showDetail);

/** Opens what the address names; an address that names nothing closes the player. */
async function route() {
  const { id, at } = parse(location.hash);
  list.choose(id);
  document.title = id === null ? 'sealtape' : `${id} · sealtape`;
  if (id === null) player.close();
  else await player.open(id, at);
}

function parse(hash) {
  const [, encoded, query = ''] = /^#\/recordings\/([^/?]+)(?:\?(.*))?$/.exec(hash) ?? [];
  if (encoded === undefined) return { id: null, at: null };
  const seconds = Number.parseFloat(new URLSearchParams(query).get('t') ?? '');
  const at = Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
  try {
    return { id: decodeURIComponent(encoded), at };
  } catch {
    return { id: encoded, at };
  }
}

/** Below the width of two columns the player stands under the list: bring it into view. */
function showDetail() {
  if (stacked.matches && parse(location.hash).id !== null) detail.scrollIntoView({ block: 'start' });
}

/** Keys for the player, unless the focus is where they mean something else. A link is no such place: it takes Enter. */
function onKey(event) {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest?.('input, textarea, select, button, audio, video, summary, [contenteditable]')) return;
  if (player.key(event.key)) event.preventDefault();
}

function announce(text) {
  announcer.textContent = text;
}
