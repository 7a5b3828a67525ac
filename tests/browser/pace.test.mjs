// At one's own pace: speed with the pitch kept, silence that is skipped, a part that is looped.

import assert from 'node:assert/strict';
import test from 'node:test';

import { system } from './harness.mjs';
import { eventually, listener, seal } from './listener.mjs';
import { tone, wav } from './sounds.mjs';

/** Forty seconds: the agent (left) speaks in the first and last ten, the caller (right) softly in the second ten, then nobody for ten. */
const CALL = wav({
  seconds: 40,
  channels: [tone(0.5, (at) => at < 10 || at >= 30), tone(0.25, (at) => at >= 10 && at < 20)],
});

async function opened(t) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  await seal(place, 'call', CALL, { started_at: '2026-11-01T09:00:00Z', duration_s: 40 });
  await seal(place, 'other', wav({ seconds: 5, channels: [tone(0.5)] }), { started_at: '2026-11-01T08:00:00Z', duration_s: 5 });
  const { url } = await place.serve();
  const person = await listener(t, url);
  await person.goto('#/recordings/call');
  await person.ready();
  return { ...person, url, place };
}

test('speed goes from 0.5 to 3, keeps the pitch, and stays for the next recording', async (t) => {
  const { page, at, ready, media, until } = await opened(t);
  const speeds = await at('speed').locator('option').evaluateAll((options) => options.map((option) => Number(option.value)));
  assert.equal(Math.min(...speeds), 0.5);
  assert.equal(Math.max(...speeds), 3);
  for (const speed of [0.5, 3]) {
    await at('speed').selectOption(String(speed));
    await page.getByTestId('play').click();
    await until('!media.paused && media.currentTime > 0.3');
    // What was played over a stretch of real time, by the page's own clock.
    const rate = await at('media').evaluate(async (element) => {
      const [began, from] = [performance.now(), element.currentTime];
      await new Promise((done) => { setTimeout(done, 1500); });
      return (element.currentTime - from) / ((performance.now() - began) / 1000);
    });
    assert.ok(Math.abs(rate - speed) < 0.2 * speed, `${speed} plays at ${rate}`);
    assert.deepEqual(await media(['preservesPitch', 'playbackRate']), { preservesPitch: true, playbackRate: speed });
    await page.getByTestId('play').click();
  }
  await page.locator('[data-id="other"]').click();
  await ready();
  await until("media.getAttribute('aria-label').includes('other')");
  assert.equal((await media(['playbackRate'])).playbackRate, 3);
  assert.equal(await at('speed').inputValue(), '3');
});

test('silence is skipped, no speech with it, and it is said how much', async (t) => {
  const { page, at, until } = await opened(t);
  await eventually(async () => await at('skip-silence').isEnabled(), 'the waveform tells where it is silent');
  await at('skip-silence').check();
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 19; });
  await at('play').click();
  const begun = Date.now();
  await until('media.currentTime >= 29.5');
  const took = (Date.now() - begun) / 1000;
  assert.ok(took < 9, `ten seconds of silence were passed in ${took} s`);
  // The silence lies from 20 to 30: a little is left on both sides, and speech begins unhurt.
  await until('media.currentTime > 30.5');
  const skipped = await at('skipped').textContent();
  assert.match(skipped, /^0:0[89] skipped$/);
  // One channel alone is not silence: the caller speaks while the agent is quiet.
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 9.5; });
  await until('!media.seeking && media.currentTime > 11');
  assert.equal(await at('skipped').textContent(), skipped, 'nothing was skipped where one speaks');
  // Taken out, silence is played.
  await at('skip-silence').uncheck();
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 24; });
  await until('!media.seeking && media.currentTime > 24.5 && media.currentTime < 29');
});

test('a part is looped: by drag, by buttons, by keys; and let go', async (t) => {
  const { page, at, until } = await opened(t);
  const box = await at('timeline').boundingBox();
  const x = (seconds) => box.x + (seconds / 40) * box.width;
  const y = box.y + box.height / 2;
  await page.keyboard.down('Shift');
  await page.mouse.move(x(10), y);
  await page.mouse.down();
  await page.mouse.move(x(12.1), y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  assert.equal(await at('loop-said').textContent(), '0:10 – 0:12');
  const mark = await at('loop-mark').boundingBox();
  assert.ok(Math.abs(mark.x - x(10)) < 3 && Math.abs(mark.width - (x(12.1) - x(10))) < 4, 'the loop is marked where it is');
  await page.evaluate(() => { document.querySelector('[data-testid=media]').currentTime = 11; });
  await at('play').click();
  await goesRound(at, 10, 12.1);

  await at('loop-off').click();
  await until('media.currentTime > 12.3');
  await at('play').click();
  const go = async (seconds) => {
    await page.evaluate((to) => { document.querySelector('[data-testid=media]').currentTime = to; }, seconds);
    await until(`!media.seeking && Math.abs(media.currentTime - ${seconds}) < 0.05`);
  };
  await go(20);
  await at('loop-a').click();
  await go(21.5);
  await at('loop-b').click();
  assert.equal(await at('loop-said').textContent(), '0:20 – 0:21');
  await at('play').click();
  await goesRound(at, 20, 21.5);

  // Keys alone: A and B, then wider on the timeline; X lets go. A loop up to the end of the recording goes round too.
  await page.keyboard.press('x');
  assert.equal(await at('loop-mark').isVisible(), false);
  await at('play').click();
  await go(38.5);
  await page.keyboard.press('a');
  await at('timeline').focus();
  for (let press = 0; press < 3; press += 1) await page.keyboard.press('Shift+ArrowRight');
  assert.equal(await at('loop-said').textContent(), '0:38 – 0:40');
  await page.keyboard.press('Space');
  await goesRound(at, 38.5, 40);
});

test('a loop goes round where the page looks seldom, and is left where the listener seeks', async (t) => {
  const { page } = await opened(t);
  const jumps = await page.evaluate(async () => {
    const { createLoop } = await import('/player/loop.js');
    const jumps = [];
    const loop = createLoop({ jump: (to) => jumps.push(to), changed: () => {} });
    loop.set(10, 12);
    for (const now of [11, 14.5]) loop.tick(now);
    loop.sought();
    for (const now of [11, 11.9]) loop.tick(now);
    loop.sought();
    for (const now of [20, 21]) loop.tick(now);
    return jumps;
  });
  assert.deepEqual(jumps, [10]);
});

/** It plays over the end of the loop back to its beginning, twice, and never outside: no further than a busy page looks away. */
async function goesRound(at, from, to) {
  const seen = await at('media').evaluate(async (media, [begin, end]) => {
    let [rounds, longest, early, late] = [0, 0, 0, 0];
    let [before, looked] = [media.currentTime, performance.now()];
    const until = looked + 25_000;
    while (rounds < 2 && performance.now() < until) {
      await new Promise((done) => { setTimeout(done, 20); });
      const now = media.currentTime;
      longest = Math.max(longest, (performance.now() - looked) / 1000);
      looked = performance.now();
      if (now < before - 0.5) rounds += 1;
      [early, late] = [Math.max(early, begin - now), Math.max(late, now - end)];
      before = now;
    }
    return { rounds, longest, early, late, speed: media.playbackRate };
  }, [from, to]);
  assert.equal(seen.rounds, 2, JSON.stringify(seen));
  assert.ok(seen.early < 0.1 && seen.late < 0.3 + seen.longest * seen.speed, JSON.stringify(seen));
}
