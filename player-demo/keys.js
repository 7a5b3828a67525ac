// The keys of the page, one table for all: what each is called in the help, and who acts on it.
// It does not know the player; it hands a key's meaning on. Single letters can be switched off, as WCAG 2.1.4 asks.

const STORED = 'sealtape-keys-off';

/** Meaning, keys, words. `page` keys work without a recording. */
export const KEYS = [
  { does: 'search', keys: ['/'], shown: ['/'], says: 'Search', page: true },
  { does: 'list', keys: [], shown: ['↑', '↓', 'Home', 'End'], says: 'Move in the list', page: true },
  { does: 'leave', keys: ['Escape'], shown: ['Esc'], says: 'Leave the search, close the recording', page: true },
  { does: 'help', keys: ['?'], shown: ['?'], says: 'This help', page: true },
  { does: 'toggle', keys: [' ', 'k'], shown: ['Space', 'K'], says: 'Play, pause' },
  { does: 'back', keys: ['ArrowLeft'], shown: ['←'], says: 'Back 5 seconds' },
  { does: 'on', keys: ['ArrowRight'], shown: ['→'], says: 'Forward 5 seconds' },
  { does: 'far-back', keys: ['j'], shown: ['J'], says: 'Back 10 seconds' },
  { does: 'far-on', keys: ['l'], shown: ['L'], says: 'Forward 10 seconds' },
  { does: 'slower', keys: ['-', '<'], shown: ['−'], says: 'Slower' },
  { does: 'faster', keys: ['+', '>', '='], shown: ['+'], says: 'Faster' },
  { does: 'silence', keys: ['s'], shown: ['S'], says: 'Skip silence, or do not' },
  { does: 'loop-a', keys: ['a'], shown: ['A'], says: 'Loop from here' },
  { does: 'loop-b', keys: ['b'], shown: ['B'], says: 'Loop to here' },
  { does: 'loop-off', keys: ['x'], shown: ['X'], says: 'No loop' },
  { does: 'mute', keys: ['m'], shown: ['M'], says: 'Sound off, on' },
];

/** What a key press means here, or null: typing and controls that take the key themselves come first. */
export function meaningOf(event) {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.('dialog')) return null;
  const typing = event.target.closest?.('input:not([type=checkbox]):not([type=range]), textarea, select, audio, video, [contenteditable]');
  if (typing) return null;
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // A button takes the space bar, a slider or a fold its own keys.
  if (pressed === ' ' && event.target.closest?.('button, summary, input')) return null;
  if (pressed.startsWith('Arrow') && event.target.closest?.('input, summary')) return null;
  if (event.shiftKey && /^(Arrow|[a-z ]$)/.test(pressed)) return null;
  const found = KEYS.find(({ keys }) => keys.includes(pressed));
  if (found === undefined) return null;
  return !singleKeys() && pressed.length === 1 && pressed !== ' ' ? null : found.does;
}

/** Whether single letters and signs act. */
export function singleKeys() {
  try {
    return localStorage.getItem(STORED) === null;
  } catch {
    return true;
  }
}

/** Without storage the choice is forgotten, and the keys act. */
export function useSingleKeys(wanted) {
  try {
    if (wanted) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, '1');
  } catch {
    // Nothing to keep it in.
  }
}
