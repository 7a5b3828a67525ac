// Within everybody's reach: the keyboard all the way, nothing that axe finds, light and dark, wide and narrow.

import assert from 'node:assert/strict';
import test from 'node:test';

import { demo, system } from './harness.mjs';
import { assertReachable, eventually, listener, seal } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 320, height: 720 } };

test('axe finds nothing on the list, the filters, the player, a problem, the help; light and dark, wide and narrow', async (t) => {
  const { url, token } = await demo(t);
  const { page, at, shot, ready, goto } = await listener(t, url);
  const look = async (state) => {
    for (const colorScheme of ['light', 'dark']) {
      for (const [name, size] of Object.entries(SIZES)) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize(size);
        await assertReachable(page, `${state}, ${colorScheme}, ${name}`);
        const [wider, higher] = await page.evaluate(({ scrollWidth, clientWidth, scrollHeight, clientHeight } = document.documentElement) =>
          [scrollWidth - clientWidth, scrollHeight - clientHeight]);
        assert.equal(wider, 0, `${state} is wider than the page`);
        if (name === 'wide') assert.equal(higher, 0, `${state} is higher than the page: only the panes scroll`);
        await shot(`${state}-${colorScheme}-${name}`);
      }
    }
  };
  await goto(`#token=${token}`);
  await at('row').first().waitFor();
  await look('list');
  await at('filters-toggle').click();
  await at('state').selectOption('complete');
  await at('chip-state').waitFor();
  await look('filters');
  await goto('#/?q=nobody');
  await at('nothing-found').waitFor();
  await look('nothing-found');
  await goto('#/recordings/call-billing-wav-pcm?t=3');
  await ready();
  for (const key of ['a', 'l', 'b']) await page.keyboard.press(key);
  await at('loop-mark').waitFor();
  await look('player');
  await goto('#/recordings/screen-form-webm');
  await ready();
  await look('video');
  await goto('#/recordings/failure-key-missing');
  await at('problem').waitFor();
  await at('problem-server').locator('summary').click();
  await look('problem');
  await goto('#/recordings/call-archive-wav-gsm');
  await at('codec-note').getByText('GSM 6.10').waitFor();
  await look('codec');
  await at('help-button').click();
  await at('help').waitFor();
  await look('help');
});

test('the keyboard goes all the way: search, list, player, help and back', async (t) => {
  const place = system(t);
  await place.run(['keys', 'generate']);
  for (const [id, minute] of [['call-1', 1], ['call-2', 2], ['call-3', 3]]) {
    await seal(place, id, wav({ seconds: 30, channels: [tone(0.5)] }), { started_at: `2026-11-01T09:0${minute}:00Z`, agent: 'ada' });
  }
  const { url } = await place.serve();
  const { page, at, goto, ready, until, media } = await listener(t, url);
  const focused = () => page.evaluate(() => document.activeElement.dataset.id ?? document.activeElement.dataset.testid ?? document.activeElement.localName);
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  await goto();
  await at('row').first().waitFor();

  await press('/');
  assert.equal(await focused(), 'search');
  await page.keyboard.type('ada?/');
  assert.equal(await at('search').inputValue(), 'ada?/', 'keys are letters while one types');
  assert.equal(await at('help').isVisible(), false);
  await press('Escape');
  assert.equal(await at('search').inputValue(), '');
  await eventually(async () => await at('row').count() === 3, 'all again');
  await press('ArrowDown');
  assert.equal(await focused(), 'call-3');
  await press('End');
  assert.equal(await focused(), 'call-1');
  await press('ArrowUp');
  assert.equal(await focused(), 'call-2');
  await press('Home', 'ArrowDown', 'Enter');
  await ready();
  assert.equal(await page.locator('.detail-head h2').textContent(), 'call-2');
  assert.equal(await focused(), 'call-2', 'the focus stays where it was chosen');

  await press('Space');
  await until('!media.paused && media.currentTime > 0.1');
  await press('k');
  await until('media.paused');
  const before = (await media(['currentTime'])).currentTime;
  await press('ArrowRight', 'l', 'ArrowLeft');
  await until(`Math.abs(media.currentTime - ${before + 10}) < 0.3`);
  await press('+', '+');
  assert.equal((await media(['playbackRate'])).playbackRate, 1.5);
  await press('-');
  assert.equal((await media(['playbackRate'])).playbackRate, 1.25);
  await press('m');
  assert.equal((await media(['muted'])).muted, true);

  await press('?');
  assert.ok(await at('help').isVisible());
  await press('Escape');
  assert.equal(await at('help').isVisible(), false);
  assert.equal(await page.locator('.detail-head h2').textContent(), 'call-2', 'Escape closes the help alone');
  // Single letters can be switched off, as WCAG 2.1.4 asks; the space bar stays.
  await at('help-button').click();
  await at('single-keys').uncheck();
  await press('Escape');
  await page.locator('[data-id="call-2"]').focus();
  await press('m', '/');
  assert.equal((await media(['muted'])).muted, true, 'the letter does nothing');
  assert.equal(await focused(), 'call-2');
  await press('Space');
  await until('!media.paused');
  await page.reload();
  await ready();
  await press('?');
  assert.equal(await at('help').isVisible(), false, 'the choice is kept');

  await press('Escape');
  await page.locator('.idle').waitFor();
  assert.equal(new URL(page.url()).hash, '#/');
});

test('on a narrow screen a recording takes the place of the list, and gives it back where it was left', async (t) => {
  const { url } = await demo(t);
  const { page, at, goto, ready } = await listener(t, url, { viewport: SIZES.narrow });
  const focused = () => page.evaluate(() => document.activeElement.dataset.id ?? document.activeElement.id);
  await goto();
  await at('row').first().waitFor();
  assert.equal(await page.locator('#detail').isVisible(), false);
  await page.locator('[data-id="screen-form-webm"]').click();
  await ready();
  assert.equal(await at('list').isVisible(), false);
  assert.equal(await focused(), 'detail');
  await page.getByText('All recordings').click();
  await at('list').waitFor();
  assert.equal(await focused(), 'screen-form-webm');
  await page.keyboard.press('Enter');
  await ready();
  await page.keyboard.press('Escape');
  await at('list').waitFor();
  assert.equal(await focused(), 'screen-form-webm');
});

test('a timeline is a slider: named, with its value in words, moved by its keys', async (t) => {
  const place = system(t);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', wav({ seconds: 100, channels: [tone(0.5)] }));
  const { url } = await place.serve();
  const { page, goto, ready, until } = await listener(t, url);
  await goto('#/recordings/call?t=63');
  await ready();
  const slider = page.getByRole('slider', { name: 'Position in call' });
  await until('media.currentTime === 63');
  const says = (text) => eventually(async () => await slider.getAttribute('aria-valuetext') === text, text);
  await says('1 minute 3 seconds of 1 minute 40 seconds');
  assert.equal(await slider.getAttribute('aria-valuemin'), '0');
  assert.equal(await slider.getAttribute('aria-valuemax'), '100');
  await slider.focus();
  for (const [key, seconds, words] of [
    ['ArrowRight', 64, '1 minute 4 seconds'], ['PageUp', 74, '1 minute 14 seconds'], ['PageDown', 64, '1 minute 4 seconds'],
    ['ArrowLeft', 63, '1 minute 3 seconds'], ['Home', 0, '0 seconds'], ['End', 100, '1 minute 40 seconds'],
  ]) {
    await page.keyboard.press(key);
    await until(`Math.abs(media.currentTime - ${seconds}) < 0.01`);
    await says(`${words} of 1 minute 40 seconds`);
    assert.equal(await slider.getAttribute('aria-valuenow'), String(seconds));
  }
});
