// Builds page elements, and puts text on the clipboard.
// It knows nothing about recordings. Every string becomes a text node or an attribute value, never markup: that is what
// keeps text from the server from becoming part of the page.

/**
 * `element('a.button', { href, testid: 'download' }, 'Download')`: the name and classes, then attributes, then children.
 * A function under `onclick` and the like is added as a listener; null, undefined and false leave an attribute or a child out.
 */
export function element(selector, attributes = {}, ...children) {
  const [name, ...classes] = selector.split('.');
  const node = document.createElement(name);
  if (classes.length > 0) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'testid') node.dataset.testid = value;
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A link whose address is asked for anew where it is followed: `href()` may have changed since. */
export function freshLink(selector, href, attributes, ...children) {
  const refresh = ({ currentTarget }) => { currentTarget.href = href(); };
  return element(selector, { ...attributes, href: href(), onclick: refresh }, ...children);
}

/** An icon drawn by the style sheet; the words beside it carry the meaning. */
export function icon(name) {
  return element(`span.icon.icon-${name}`, { 'aria-hidden': 'true' });
}

/** A small label with an optional icon: `badge('sealed', 'sealed', 'lock')`. */
export function badge(kind, text, iconName) {
  return element(`span.badge.badge-${kind}`, {}, iconName && icon(iconName), text);
}

/** One term and its value, for a `dl.facts`. */
export function fact(term, ...value) {
  return element('div', {}, element('dt', {}, term), element('dd', {}, ...value));
}

/** A button that copies `text` (or what `text()` returns) and says so. `what` names it for those who hear the label alone. */
export function copyButton(label, text, what = '') {
  const said = element('span', { 'aria-live': 'polite' }, label);
  const button = element('button.quiet', { type: 'button', testid: what === '' ? null : `copy-${what.toLowerCase().replaceAll(' ', '-')}`, onclick: copy },
    icon('copy'), said, what !== '' && element('span.unseen', {}, ` ${what}`));
  let reset = 0;

  async function copy() {
    const done = await copyText(typeof text === 'function' ? text() : text);
    said.textContent = done ? 'Copied' : 'Could not copy';
    clearTimeout(reset);
    reset = setTimeout(() => { said.textContent = label; }, 2000);
  }
  return button;
}

/** The clipboard API exists only in secure contexts; elsewhere a selected text field still copies. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element('textarea.unseen', { readonly: true, 'aria-hidden': 'true', tabindex: '-1' });
    field.value = text;
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    focused?.focus();
    return done;
  }
}
