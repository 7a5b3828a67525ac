// The demo's encryption switch. Off, every sealed recording answers `encryption-disabled`; on, they play again.
// Only `sealtape demo` has it, and marks its page (`<body data-demo>`); elsewhere nothing is asked and nothing shown.
// It does not know what the page refreshes then.

import * as api from './api.js';
import { element } from './dom.js';

const ON = 'Sealed recordings are decrypted as they play.';
const OFF = 'Sealed recordings stay sealed and do not play.';

/** Shows the switch where the server has one; `changed` is called after the server has taken a change. */
export async function showSwitch(host, changed) {
  if (!('demo' in document.body.dataset)) return;
  const enabled = await api.demoEncryption();
  if (enabled === null) return;

  const input = element('input.switch', {
    type: 'checkbox', role: 'switch', id: 'demo-switch', testid: 'switch', 'aria-describedby': 'demo-said', onchange: change,
  });
  const state = element('span.demo-state', { 'aria-hidden': 'true' });
  const said = element('p.demo-said', { id: 'demo-said', role: 'status' });
  say(enabled);
  host.replaceChildren(
    element('label.demo-label', { for: 'demo-switch' }, element('span', {}, 'Encryption'), input, state),
    said);
  host.hidden = false;

  async function change() {
    const wanted = input.checked;
    input.disabled = true;
    try {
      await api.setDemoEncryption(wanted);
      say(wanted);
      await changed();
    } catch (error) {
      if (!(error instanceof api.Problem)) throw error;
      say(!wanted);
      said.textContent = `Not switched: ${error.document.title}.`;
    } finally {
      input.disabled = false;
      input.focus();
    }
  }

  function say(on) {
    input.checked = on;
    state.textContent = on ? 'on' : 'off';
    said.textContent = on ? ON : OFF;
    host.classList.toggle('demo-off', !on);
  }
}
