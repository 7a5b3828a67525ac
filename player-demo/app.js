// Wires the page together: the filter, the list, the player, the help, the demo switch, and the address (address.js).
// It knows no recording and speaks no HTTP itself.

import { format, parse } from './address.js';
import { showSwitch } from './demo.js';
import { createFilter, same } from './filter.js';
import { createHelp } from './help.js';
import { meaningOf } from './keys.js';
import { createList } from './list.js';
import { createPlayer } from './player.js';
import { takeToken } from './session.js';

const detail = document.getElementById('detail');
const panes = detail.parentElement;
const announcer = document.getElementById('announcer');
const stacked = matchMedia('not all and (min-width: 56rem)');
/** What the list shows; null before the first search. */
let sought = null;

const help = createHelp(document.getElementById('help'));
const filter = createFilter(document.getElementById('filter'), { changed: look, down: () => list.focus() });
const list = createList(document.getElementById('list'), { announce, found: filter.offer });
const player = createPlayer(detail, { announce, home: () => format({ filter: sought ?? {} }) });

takeToken();
addEventListener('hashchange', () => {
  if (takeToken()) {
    // Who is somebody else now sees everything anew.
    sought = null;
    player.close();
  }
  route().then(showDetail);
  showDetail();
});
document.addEventListener('keydown', onKey);
showSwitch(document.getElementById('demo'), () => Promise.all([list.refresh(), player.refresh()]));
route().then(showDetail);

/** Shows what the address names: a search, and a recording or none. */
async function route() {
  const { id, at, filter: wanted } = parse(location.hash);
  filter.show(wanted);
  showPane(id);
  document.title = id === null ? 'sealtape' : `${id} · sealtape`;
  const searched = sought === null || !same(sought, wanted) ? list.search(wanted) : null;
  sought = wanted;
  if (id === null) player.close();
  else await player.open(id, at);
  await searched;
}

/**
 * A new wish of the filter becomes the address; letters that are being typed become no steps of the history.
 * What plays goes on, so the moment at which it was opened goes out of the address.
 */
function look(wanted, { typing }) {
  const { id } = parse(location.hash);
  const hash = format({ id, filter: wanted });
  if (!typing) {
    location.hash = hash;
    return;
  }
  history.replaceState(null, '', hash);
  route();
}

/** Below the width of two columns the list or the recording is shown. Back in the list, the focus is where it was left. */
function showPane(id) {
  const left = panes.classList.contains('open') ? list.chosen() : null;
  panes.classList.toggle('open', id !== null);
  list.choose(id);
  if (id === null && left !== null && stacked.matches) list.focus(left);
}

/** Below the width of two columns a recording that is opened takes the place of the list, and the focus. */
function showDetail() {
  if (!stacked.matches || parse(location.hash).id === null) return;
  detail.scrollIntoView({ block: 'start' });
  detail.focus({ preventScroll: true });
}

function onKey(event) {
  const meaning = meaningOf(event);
  if (meaning === null) return;
  if (meaning === 'search') filter.focus();
  else if (meaning === 'help') help.open();
  else if (meaning === 'leave') leave();
  else if (!player.act(meaning)) return;
  event.preventDefault();
}

/** Closes the recording; the focus goes back to where it was chosen. */
function leave() {
  const { id } = parse(location.hash);
  if (id === null) return;
  if (!stacked.matches) list.focus(id);
  location.hash = format({ filter: sought ?? {} });
}

function announce(text) {
  announcer.textContent = text;
}
