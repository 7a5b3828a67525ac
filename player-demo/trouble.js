// What each problem means to the person who wants to listen, and who can do what about it: sentences by code.
// It knows no page and no recording; the server's own words stand beside these (problem.js). A code that is not here keeps the server's.

/** `{ title, means, act }` for a problem document: what happened, what it means here, what to do now. */
export function sentenceOf(problem) {
  const [title, means, act] = SENTENCES[GATEWAY.test(problem.code) ? 'server-unreachable' : problem.code] ?? [
    problem.title ?? 'This recording cannot be played',
    problem.detail ?? 'The server gave no reason.',
    'Try again. If it stays so, give support the code and the request ID below.',
  ];
  return { title, means, act };
}

/** What support needs, as text to paste. */
export function reportOf(problem, recording) {
  return [
    ['Problem', problem.code ?? 'unknown'],
    ['Title', problem.title],
    ['Detail', problem.detail],
    ['Recording', recording],
    ['Key fingerprint', problem.fingerprint],
    ['Request ID', problem.instance],
    ['Time', new Date().toISOString()],
  ].filter(([, value]) => value).map(([name, value]) => `${name}: ${value}`).join('\n');
}

const WAIT = 'Wait a moment and try again. If it lasts more than a few minutes, tell support.';
const SUPPORT = 'Give support the request ID below.';

/** What a proxy before the server answers when it cannot reach it. */
const GATEWAY = /^http-50[234]$/;

export const SENTENCES = {
  // Who asks.
  unauthenticated: ['You are not signed in', 'Your sign-in is missing or has run out.', 'Open the player again from the place where you sign in.'],
  forbidden: ['You may not play this recording', 'Your account has no right to it.', 'Ask your supervisor or whoever runs the recordings for the right.'],
  'link-expired': ['The link has run out', 'A link to a recording is good for a limited time only.', 'Open the recording again here, or ask whoever sent the link for a new one.'],

  // What the recording is.
  'recording-not-found': ['There is no such recording', 'It was deleted, its ID is written differently, or you may not know of it.', 'Look for it in the list. Capital and small letters matter.'],
  'media-missing': ['The recording\'s file is gone', 'The recording is listed, but its file is not where it should be.', 'Support can bring it back from a backup. Nothing you can do here brings it back.'],
  'recording-corrupt': ['The recording is damaged', 'Its file is not what was recorded any more. It is not played, so that nobody hears something false.', 'Do not delete it. Tell support: it can come back from a backup, and why it changed must be found out.'],
  'unsupported-format': ['The recording needs a newer server', 'It was sealed by a newer version than this server has.', 'Support can update the server; the recording itself is fine.'],
  'recording-held': ['The recording is under legal hold', 'It must not be deleted.', 'Whoever set the hold can release it.'],
  'recording-in-progress': ['The recording is still being made', 'It cannot be deleted before its end.', 'Try again when it has ended.'],
  'plain-not-allowed': ['The recording is not encrypted', 'This server plays encrypted recordings only, and this one was stored without.', 'Support can encrypt it, or allow it to be played as it is.'],

  // Its keys.
  'encryption-disabled': ['Encryption is switched off', 'This recording is encrypted, and encrypted recordings do not play while encryption is off. Nothing is lost.', 'Ask whoever runs the recordings to switch it on, then try again.'],
  'key-missing': ['The key to this recording is missing', 'The recording is encrypted, and this server does not have the key that opens it.', 'Give support the key fingerprint below: they need the backup of exactly that key.'],
  'key-deactivated': ['The key to this recording was taken out of use', 'The recording is fine, but somebody deactivated its key.', 'If you should be able to hear it, give support the key fingerprint below: they can activate it again.'],
  'keys-unavailable': ['The key cannot be fetched just now', 'The place that holds the keys does not answer.', WAIT],
  'no-active-key': ['No key is ready for new recordings', 'Encryption is on, but there is no key to encrypt with.', 'Tell support at once: new calls are not being kept.'],

  // The server and what stands behind it.
  'catalogue-unavailable': ['The list of recordings cannot be read just now', 'The database does not answer.', WAIT],
  'storage-unavailable': ['The recordings cannot be read just now', 'The storage does not answer.', WAIT],
  'audit-unavailable': ['Playing is paused', 'Every playback is written into a record, and that record cannot be written just now.', 'Tell support: the disk of the playback record needs a look. Then try again.'],
  overloaded: ['The server is busy', 'Too many recordings are being played at once.', WAIT],
  'storage-full': ['There is no room left', 'The storage for recordings is full.', 'Tell support at once: new calls cannot be kept.'],
  internal: ['Something is wrong with the server', 'It met a fault that it should not have.', SUPPORT],
  'server-unreachable': ['The server does not answer', 'It may be restarting, or your network may be down.', 'Check your connection, then try again. Your place is kept.'],
  'connection-cut': ['The connection broke off', 'The stream stopped on its way to you.', 'Try again: it goes on from the same place.'],
  'answer-unreadable': ['The answer cannot be read', 'Something between this page and the server changed it: a proxy, or a sign-in page.', 'Reload the page. If it stays so, tell support.'],
  'decoding-failed': ['Your browser stumbled over this recording', 'The server has no fault to report, and yet the browser could not play what came.', 'Try again, or download it and open it in another program.'],

  // What this page asked: seldom a listener's doing.
  'precondition-failed': ['The recording was replaced meanwhile', 'It is not the one that you opened.', 'Try again: the new one is loaded from its start.'],
  'range-not-satisfiable': ['That place lies past the end', 'The recording is shorter than that.', 'Start it again from an earlier place.'],
  'bad-request': ['The server does not understand what was asked', 'A search or an address is written in a way that it cannot read.', 'Change the search, or open the recording from the list.'],
  'not-found': ['There is nothing at this address', 'The address is written wrongly, or this server does not have what it names.', 'Go back to the list of recordings.'],
  'uri-too-long': ['The search is too long', 'The server does not read addresses of that length.', 'Look for fewer words.'],
  'headers-too-large': ['Your sign-in is too large', 'The server does not read that much.', SUPPORT],
  'method-not-allowed': ['The server does not do that', 'Page and server do not fit each other: one of them is older.', `Reload the page. If it stays so: ${SUPPORT.toLowerCase()}`],
  'recording-exists': ['A recording of this ID exists', 'Recordings are never overwritten.', 'Choose another ID.'],
  'media-too-large': ['The recording is too long for this server', 'It is longer than a recording may be here.', 'Split it, or ask support to raise the limit.'],
  'unsupported-media-type': ['The kind of file cannot be kept', 'The server does not take this media type.', 'Store it under a type such as audio/wav.'],
};
