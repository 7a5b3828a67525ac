// The browser's half of benches/seek/run, which knows the servers:
//
//   node seek.mjs make FOLDER NAME                      makes a recording there
//   node seek.mjs measure SEALTAPE_URL NGINX_URL TURNS  prints {"sealtape":[{"start","seek"},…],"nginx":[…]}, milliseconds

import { make } from '../../tests/browser/recordings.mjs';
import { packages } from '../../tests/browser/harness.mjs';

const EXECUTABLE = '/usr/bin/chromium';
/** Turns that are not counted: the first ones pay for what is set up once. */
const WARM = 3;

const [command, ...args] = process.argv.slice(2);
if (command === 'make') await make(...args);
else if (command === 'measure') console.log(JSON.stringify(await measure(...args)));
else throw new Error('make FOLDER NAME, or measure SEALTAPE_URL NGINX_URL TURNS');

async function measure(sealtape, nginx, turns) {
  const { chromium } = packages('playwright-core');
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu', '--mute-audio', '--autoplay-policy=no-user-gesture-required'] });
  try {
    const sides = { sealtape: await open(browser, sealtape, '/livez'), nginx: await open(browser, nginx, '/blank.html') };
    const times = { sealtape: [], nginx: [] };
    for (let turn = -WARM; turn < Number(turns); turn += 1) {
      // Spread over the hour, and no two alike; both jump to the same place.
      const place = 0.2 + 0.75 * (((turn + WARM) * 0.6180339887) % 1);
      const order = turn % 2 === 0 ? ['sealtape', 'nginx'] : ['nginx', 'sealtape'];
      for (const side of order) {
        const { page, url } = sides[side];
        const time = await page.evaluate(jump, { url, place });
        if (turn >= 0) times[side].push(time);
      }
    }
    return times;
  } finally {
    await browser.close();
  }
}

/** A page of the same origin as the media. */
async function open(browser, url, blank) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(new URL(blank, url).href);
  return { page, url };
}

/** In the page: plays from the start, jumps to a place that is not there yet; how long both took. */
async function jump({ url, place }) {
  const media = new Audio();
  const happens = (name) => new Promise((resolve, reject) => {
    media.addEventListener(name, resolve, { once: true });
    media.addEventListener('error', () => reject(new Error(`${url}: error ${media.error?.code} ${media.error?.message}`)), { once: true });
    setTimeout(() => reject(new Error(`${url}: no ${name} within 20 s`)), 20_000);
  });
  const begun = performance.now();
  const plays = happens('playing');
  media.src = url;
  media.play();
  await plays;
  const start = performance.now() - begun;
  const to = media.duration * place;
  for (let range = 0; range < media.buffered.length; range += 1) {
    if (media.buffered.start(range) <= to && to <= media.buffered.end(range)) throw new Error(`${url}: ${to} s was there already`);
  }
  const jumped = performance.now();
  const sought = happens('seeked');
  media.currentTime = to;
  await sought;
  const seek = performance.now() - jumped;
  media.pause();
  media.removeAttribute('src');
  media.load();
  return { start, seek };
}
