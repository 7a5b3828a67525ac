// The help: which keys there are, a switch that takes single letters away from them, and the way to the other pages. A modal dialog, opened by `?` or its button.
// It knows the table of keys and nothing of what they do.

import { element } from './dom.js';
import { KEYS, singleKeys, useSingleKeys } from './keys.js';

/** Adds the button to `host` and gives `open()`. */
export function createHelp(host) {
  const button = element('button.help-button', { type: 'button', testid: 'help-button', 'aria-haspopup': 'dialog', onclick: open }, 'Keys and help');
  const single = element('input', { type: 'checkbox', id: 'single-keys', testid: 'single-keys', onchange: () => useSingleKeys(single.checked) });
  const dialog = element('dialog.help', { testid: 'help', 'aria-labelledby': 'help-title' },
    element('div.help-head', {},
      element('h2', { id: 'help-title' }, 'Keys and help'),
      element('button', { type: 'button', testid: 'help-close', onclick: () => dialog.close() }, 'Close')),
    element('div.help-columns', {},
      part('Recordings', KEYS.filter(({ page }) => page)),
      part('On the timeline', TIMELINE),
      part('Playing', KEYS.filter(({ page }) => !page))),
    element('label.help-single', { for: 'single-keys' }, single, element('span', {}, 'Single letters and signs act as keys')),
    element('p.muted', {}, 'Switch it off when you dictate, or when keys are pressed by accident. Space, Escape and the arrows stay.'),
    element('p.help-more', {}, element('a', { href: '/player/qa.html' }, 'Check this installation'), element('a', { href: '/player/embed.html' }, 'Embed a recording')));
  host.append(button);
  document.body.append(dialog);

  function open() {
    single.checked = singleKeys();
    if (!dialog.open) dialog.showModal();
  }
  return { open };
}

function part(title, rows) {
  return element('section', {}, element('h3', {}, title),
    element('dl.keys', {}, rows.map(({ shown, says }) => element('div', {},
      element('dt', {}, shown.map((key) => element('kbd', {}, key))), element('dd', {}, says)))));
}

const TIMELINE = [
  { shown: ['←', '→'], says: 'One second' },
  { shown: ['Page ↑', 'Page ↓'], says: 'A tenth of the recording' },
  { shown: ['Home', 'End'], says: 'To the start, to the end' },
  { shown: ['Shift ←', 'Shift →'], says: 'Widen a loop from here' },
  { shown: ['Shift + drag'], says: 'Loop a part' },
];
