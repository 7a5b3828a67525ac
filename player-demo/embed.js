// The example page for integrators: mints a link as a server of theirs would, hands it to <sealtape-player>, and shows
// what the element tells. It knows nothing of how that plays; `#token=…` signs in as everywhere here.

import { copyButton, element } from './dom.js';
import { ask, pathOf, problemOf } from './qa-ask.js';
import { takeToken } from './session.js';

const EVENTS = ['ready', 'play', 'pause', 'ended', 'problem', 'link-expired'];
const LINES_MAX = 50;

const form = document.getElementById('choice');
const place = document.getElementById('place');
const refused = document.getElementById('refused');
const told = document.getElementById('told');
const snippet = document.getElementById('snippet');
let turn = 0;

takeToken();
addEventListener('hashchange', takeToken);
snippet.textContent = lines('https://…/media?link=v1.…');
document.getElementById('copy').append(copyButton('Copy', () => snippet.textContent));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  show(form.elements.recording.value.trim());
});
const asked = new URLSearchParams(location.search).get('recording');
if (asked !== null) {
  form.elements.recording.value = asked;
  show(asked);
}

async function show(id) {
  turn += 1;
  const mine = turn;
  refused.textContent = '';
  const link = await mint(id);
  // Another recording was asked for meanwhile.
  if (link === null || mine !== turn) return;
  const player = element('sealtape-player', { link });
  for (const name of EVENTS) player.addEventListener(`sealtape-${name}`, note);
  // What a host page does: it asks its own server for another one, and the listener stays where they are.
  player.addEventListener('sealtape-link-expired', async () => {
    const fresh = await mint(id);
    if (fresh !== null) player.link = fresh;
  });
  told.replaceChildren();
  place.replaceChildren(player);
  snippet.textContent = lines(link);
}

/** A link to a recording, as this server's API gives it; null when it was refused, which is said. */
async function mint(id) {
  const answer = await ask(pathOf(id, '/link'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }).catch(() => null);
  if (answer?.status === 200) return answer.document().url;
  refused.textContent = answer === null ? 'The server cannot be reached.' : `No link was given: ${problemOf(answer)}. ${answer.document().detail ?? ''}`;
  return null;
}

function note({ type, detail }) {
  const words = { ready: () => `${detail.duration.toFixed(1)} s`, problem: () => detail.problem.code, 'link-expired': () => `at ${detail.time.toFixed(1)} s` };
  const more = words[type.slice('sealtape-'.length)]?.() ?? '';
  told.prepend(element('li', {}, element('code', {}, type), ` ${more}`));
  while (told.children.length > LINES_MAX) told.lastChild.remove();
}

function lines(link) {
  return `<script type="module" src="${location.origin}/player/sealtape-player.js"></script>\n<sealtape-player link="${link}"></sealtape-player>`;
}
