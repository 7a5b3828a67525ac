// Shows a problem document: what happened, what can be done, and what support will ask for.
// It does not know what was tried; the caller hands in what "Try again" does.

import { copyButton, element, fact, icon } from './dom.js';
import { shortFingerprint } from './words.js';

/** The panel for one problem. `retry` may be asynchronous; the button waits for it. */
export function problemPanel(problem, retry) {
  const advice = adviceUrl(problem.type);
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
    element('div.problem-head', {}, icon('warning'), element('h3', {}, problem.title ?? 'This recording cannot be played')),
    problem.detail && element('p.problem-detail', {}, problem.detail),
    element('div.actions', {},
      button,
      advice && element('a.button', { href: advice, target: '_blank', rel: 'noopener' }, 'What can be done')),
    element('dl.facts.problem-facts', {},
      fact('Code', element('code', { testid: 'problem-code' }, problem.code ?? 'unknown')),
      problem.fingerprint && fact('Key fingerprint',
        element('code', { title: problem.fingerprint }, shortFingerprint(problem.fingerprint)),
        copyButton('Copy', problem.fingerprint)),
      problem.instance && fact('Request ID',
        element('code', { testid: 'request-id' }, problem.instance),
        copyButton('Copy', problem.instance))));
}

/** Only an address on this server is offered as a link, whatever the document says. */
function adviceUrl(type) {
  if (!type || type === 'about:blank') return null;
  try {
    const url = new URL(type, location.origin);
    return url.origin === location.origin ? url.pathname + url.search : null;
  } catch {
    return null;
  }
}
