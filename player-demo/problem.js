// Shows a problem: what happened in plain words, what to do, and what support will ask for; the server's own words folded below.
// It does not know what was tried; the caller hands in what "Try again" does.

import { copyButton, element, fact, icon } from './dom.js';
import { reportOf, sentenceOf } from './trouble.js';
import { shortFingerprint } from './words.js';

/** The panel for one problem. `retry` may be asynchronous; the button waits for it. `recording` is the ID that it concerns, if any. */
export function problemPanel(problem, retry, { recording = null, kept = null, beside = null } = {}) {
  const advice = adviceUrl(problem.type);
  const { title, means, act } = sentenceOf(problem);
  const button = element('button.primary', { type: 'button', testid: 'retry' }, 'Try again');
  button.addEventListener('click', async () => {
    button.disabled = true;
    button.textContent = 'Trying …';
    try {
      await retry();
    } finally {
      button.disabled = false;
      button.textContent = 'Try again';
    }
  });

  return element('section.problem', { testid: 'problem', 'aria-label': 'Problem' },
    element('div.problem-head', {}, icon('warning'), element('h3', { testid: 'problem-title' }, title)),
    element('p', { testid: 'problem-means' }, means),
    element('p', { testid: 'problem-act' }, act),
    kept && element('p.muted', { testid: 'kept-place' }, kept),
    element('div.actions', {},
      button,
      beside,
      copyButton('Copy all for support', () => reportOf(problem, recording))),
    element('dl.facts.problem-facts', {},
      problem.fingerprint && fact('Key fingerprint',
        element('code', { testid: 'problem-fingerprint', title: problem.fingerprint }, shortFingerprint(problem.fingerprint)),
        copyButton('Copy', problem.fingerprint, 'key fingerprint')),
      problem.instance && fact('Request ID',
        element('code', { testid: 'request-id' }, problem.instance),
        copyButton('Copy', problem.instance, 'request ID')),
      fact('Code', element('code', { testid: 'problem-code' }, problem.code ?? 'unknown'))),
    (problem.title || problem.detail) && element('details.problem-server', { testid: 'problem-server' },
      element('summary', {}, 'What the server said'),
      element('p', {}, element('strong', {}, problem.title ?? ''), problem.title && problem.detail && ' – ', problem.detail),
      advice && element('p', {}, element('a', { href: advice, target: '_blank', rel: 'noopener' }, 'More about this problem, for whoever runs the server'))));
}

/** Only an address on this server is offered as a link, whatever the document says. */
function adviceUrl(type) {
  if (!type || type === 'about:blank') return null;
  try {
    const url = new URL(type, location.origin);
    return url.origin === location.origin ? url.href : null;
  } catch {
    return null;
  }
}
