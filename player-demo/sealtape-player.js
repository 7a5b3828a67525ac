// <sealtape-player>: plays one recording of a sealtape server in a page of any origin. This file is all of it: load it
// from the server or copy it; it imports nothing, and needs no inline styles.
//
//   <script type="module" src="https://sealtape.example/player/sealtape-player.js"></script>
//   <sealtape-player link="https://sealtape.example/recordings/call-1/media?link=v1.…"></sealtape-player>
//
// Attributes   recording  the ID; not needed where `link` is a whole URL
//              server     where sealtape answers; else as `link` says, else where this file came from
//              link       a signed link: the URL that `POST /recordings/ID/link` or `sealtape link` gave, or its parameter
//              start      seconds to begin at          speed     0.5 to 3
//              controls   `none`: the page has its own  waveform  `none`: a plain timeline, nothing is asked for
//              label      what it is called to screen readers; else the ID
// Properties   token (instead of a link: mints its own; keep it out of the markup), currentTime, duration, paused, speed,
//              details (as `GET /recordings/ID`), problem (as `sealtape-problem`), and the attributes by their names
// Methods      play(), pause(), seek(seconds), reload()
// Events       sealtape-ready {details, duration}, sealtape-play, sealtape-pause, sealtape-time {time, duration},
//              sealtape-ended, sealtape-problem {problem, time}, sealtape-link-expired {recording, time}: set `link` to
//              a new one, and it goes on from its place. All bubble out of shadow trees.
// Parts        media, controls, play, back, forward, timeline, time, speed, fullscreen, problem, retry, download
// Custom CSS   --sealtape-accent, --sealtape-accent-text, --sealtape-surface, --sealtape-text, --sealtape-muted,
//              --sealtape-wave, --sealtape-border, --sealtape-bad, --sealtape-radius, --sealtape-timeline-height
// Words        import { words } and overwrite them before the first element is made, for another language
//
// It holds no key and keeps no media. More in the manual: Embedding.

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];
const SKIP_S = 10;
const STEPS_S = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 };
/** So often a stream is taken up again without getting further. */
const RESUMES = 3;
const RESUME_PAUSE_MS = 800;
/** Further on, it has been taken up. */
const RESUMED_S = 1;
const NOTHING_RESUMED = { time: -Infinity, count: 0 };
const CUTS = ['connection-cut', 'server-unreachable'];
const PROBE_LEN = 65_536;
const PATIENCE_MS = 2000;

/** Other problems are told by the title that the server gave. */
export const words = {
  play: 'Play', pause: 'Pause', back: 'Back 10 seconds', forward: 'Forward 10 seconds', speed: 'Speed', fullscreen: 'Full screen', position: 'Position',
  of: 'of', recording: 'Recording', opening: 'Opening …', retry: 'Try again', download: 'Download', request: 'Request ID',
  fingerprint: 'Key fingerprint',
  problems: {
    unauthenticated: 'Sign in to listen to this recording.',
    forbidden: 'You may not listen to this recording here.',
    'link-expired': 'The link to this recording has run out.',
    'recording-not-found': 'There is no such recording.',
    'media-missing': 'The file of this recording is gone.',
    'encryption-disabled': 'This recording is sealed, and the server is not unsealing recordings at the moment.',
    'key-missing': 'The key of this recording is not on the server.',
    'key-deactivated': 'The key of this recording has been deactivated.',
    'recording-corrupt': 'This recording is damaged, and is not played.',
    'keys-unavailable': 'The server cannot reach its keys at the moment.',
    'catalogue-unavailable': 'The server cannot reach its catalogue at the moment.',
    'storage-unavailable': 'The server cannot reach its storage at the moment.',
    'server-unreachable': 'The server cannot be reached.',
    'connection-cut': 'The recording stopped coming.',
    'codec-missing': 'This browser cannot play this kind of recording.',
    'decoding-failed': 'This browser cannot decode what this recording holds here.',
  },
};

export class SealtapePlayer extends HTMLElement {
  static observedAttributes = ['recording', 'server', 'link', 'start', 'speed', 'controls', 'waveform', 'label'];

  #view = null;
  #media = null;
  #token = null;
  #source = '';
  #patience = 0;
  /** A link that was minted with the token. */
  #minted = null;
  #details = null;
  #problem = null;
  #peaks = [];
  #place = { time: 0, playing: false };
  /** What an older intention still brings is dropped. */
  #turn = new AbortController();
  #isDue = false;
  #isReset = true;
  #hasBegun = false;
  #resumed = NOTHING_RESUMED;
  /** Unexplained failures to begin. */
  #puzzled = 0;

  constructor() {
    super();
    this.#view = buildView(this.attachShadow({ mode: 'open' }), this);
  }

  connectedCallback() {
    // What a page set before this file had come hides what is written here.
    for (const name of PROPERTIES.filter((it) => Object.hasOwn(this, it))) {
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    this.#view.watch();
    this.#load();
  }

  disconnectedCallback() {
    this.#view.rest();
    this.#drop();
  }

  attributeChangedCallback(name, old, value) {
    if (old === value) return;
    if (name === 'speed') this.#setRate();
    else if (name === 'controls' || name === 'label') this.#show();
    else if (name === 'link') this.#relink(old);
    else if (name !== 'waveform') this.#load({ reset: true });
  }

  get token() { return this.#token; }
  set token(value) {
    this.#token = value ?? null;
    if (this.#token === null || !this.#works()) this.#minted = null;
    if (!this.#works()) this.#load();
  }

  /** Where it stands, in seconds. */
  get currentTime() { return this.#media?.readyState > 0 ? this.#media.currentTime : this.#place.time; }
  set currentTime(seconds) { this.seek(seconds); }

  /** In seconds; NaN while it is not known, Infinity while the recording is being made. */
  get duration() {
    if (this.#media?.readyState > 0) return this.#media.duration;
    return this.#details?.metadata?.duration_s ?? NaN;
  }

  get paused() { return this.#media?.paused ?? true; }
  get details() { return this.#details; }
  get problem() { return this.#problem; }

  get speed() { return clamp(Number.parseFloat(this.getAttribute('speed') ?? '1') || 1, SPEEDS[0], SPEEDS.at(-1)); }
  set speed(value) { this.setAttribute('speed', value); }

  /** The promise fails where the browser wants a click first. */
  play() {
    this.#place.playing = true;
    return this.#media === null ? Promise.resolve() : this.#media.play();
  }

  pause() {
    this.#place.playing = false;
    this.#media?.pause();
  }

  seek(seconds) {
    const to = clamp(Number(seconds) || 0, 0, Number.isFinite(this.duration) ? this.duration : Infinity);
    this.#place.time = to;
    // A new link is used where the next bytes are asked for.
    if (this.#media !== null && this.#source !== this.#url('/media')) this.#remount();
    else if (this.#media?.readyState > 0) this.#media.currentTime = to;
    this.#show();
  }

  /** Asks again, and goes on from its place. */
  reload() { this.#load(); }

  // What it plays, and from where

  /** `{ base, id, link }` as the attributes say. */
  #address() {
    const given = this.getAttribute('link') ?? '';
    let [base, id, link] = [null, null, given];
    if (/^https?:\/\/|^\//.test(given)) {
      const url = new URL(given, document.baseURI);
      const [, before, name] = /^(.*)\/recordings\/([^/]+)(?:\/media)?$/.exec(url.pathname) ?? [];
      link = url.searchParams.get('link') ?? '';
      if (name !== undefined) [base, id] = [url.origin + before, decodeURIComponent(name)];
    }
    const server = this.getAttribute('server');
    base = server === null ? base ?? home() : new URL(server, document.baseURI).href.replace(/\/$/, '');
    return { base, id: this.getAttribute('recording') ?? id, link: link || this.#minted || '' };
  }

  #url(what, query = {}) {
    const { base, id, link } = this.#address();
    const parameters = new URLSearchParams(link === '' ? query : { ...query, link });
    return `${base}/recordings/${encodeURIComponent(id)}${what}${parameters.size > 0 ? `?${parameters}` : ''}`;
  }

  /** A new link leaves what plays in peace, and is used once the old one is refused. */
  #relink(old) {
    const recordingOf = (link) => /\/recordings\/([^/?]+)/.exec(link ?? '')?.[1] ?? null;
    const isOther = !this.hasAttribute('recording') && recordingOf(old) !== recordingOf(this.getAttribute('link'));
    if (isOther) this.#load({ reset: true });
    else if (!this.#works()) this.#load();
  }

  #works() {
    return this.#media !== null && this.#media.error === null;
  }

  /** Attributes that are set together are looked at once. */
  #load({ reset = false } = {}) {
    this.#isReset ||= reset;
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      if (this.isConnected) this.#open();
    });
  }

  async #open() {
    this.#drop();
    if (this.#isReset) {
      this.#place = { time: Math.max(0, Number.parseFloat(this.getAttribute('start') ?? '0') || 0), playing: this.#place.playing };
      [this.#details, this.#peaks, this.#minted, this.#isReset, this.#hasBegun] = [null, [], null, false, false];
    }
    [this.#problem, this.#resumed, this.#puzzled] = [null, NOTHING_RESUMED, 0];
    this.#show();
    if (this.#address().id === null) return;
    const { signal } = this.#turn;
    try {
      if (this.#token !== null && this.#address().link === '') await this.#mint(signal);
      this.#details = await this.#ask('', { signal });
      if (this.#details.playable) this.#mount();
      else this.#fail(this.#details.problem ?? {});
    } catch (error) {
      if (signal.aborted) return;
      // Pages that the server does not list may not read its answers, but a link plays there, too.
      if (error.problem?.code === 'server-unreachable' && this.#isForeign() && this.#address().link !== '') this.#mount();
      else this.#refused(error);
    }
  }

  async #mint(signal) {
    const { url } = await this.#ask('/link', { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' }, signal });
    this.#minted = new URL(url, document.baseURI).searchParams.get('link');
  }

  /** The JSON that the server answers; a problem is thrown as `{ problem }`. */
  async #ask(what, { headers = {}, ...options } = {}) {
    if (this.#token !== null && this.#address().link === '') headers.Authorization = `Bearer ${this.#token}`;
    let response;
    try {
      response = await fetch(this.#url(what), { cache: 'no-store', credentials: 'omit', ...options, headers });
    } catch (error) {
      throw error.name === 'AbortError' ? error : problemOf({ code: 'server-unreachable' });
    }
    const answer = await (response.ok && what === '/media' ? response.arrayBuffer() : response.json()).catch(() => null);
    options.signal?.throwIfAborted();
    if (response.ok && answer !== null) return answer;
    const known = { code: response.headers.get('Playback-Error') ?? 'connection-cut', status: response.status, instance: response.headers.get('X-Request-Id') };
    throw problemOf({ ...known, ...answer });
  }

  #isForeign() {
    return new URL(this.#address().base).origin !== location.origin;
  }

  // The media element

  #mount() {
    this.#drop({ keep: true });
    this.#problem = null;
    const media = document.createElement(/^audio\//.test(this.#details?.media_type ?? '') ? 'audio' : 'video');
    media.setAttribute('part', 'media');
    media.preload = 'metadata';
    media.preservesPitch = true;
    // Without a link another origin may only have what it may read.
    if (this.#isForeign() && this.#address().link === '') media.crossOrigin = 'anonymous';
    const on = (name, act) => media.addEventListener(name, () => { if (media === this.#media) act(); });
    on('loadedmetadata', () => this.#ready());
    on('timeupdate', () => {
      if (!media.seeking && media.readyState > 0) this.#place.time = media.currentTime;
      this.#tell('time', { time: media.currentTime, duration: media.duration });
      this.#show();
    });
    for (const name of ['progress', 'durationchange', 'playing']) on(name, () => this.#show());
    for (const name of ['seeking', 'waiting']) on(name, () => this.#lookInto());
    on('play', () => this.#played(true));
    // A pause by an error is no wish of the listener.
    on('pause', () => { if (media.error === null) this.#played(false); });
    on('ended', () => this.#tell('ended'));
    on('error', () => this.#diagnose(media.error?.code ?? 0));
    this.#media = media;
    this.#setRate();
    media.src = this.#source = this.#url('/media');
    this.#view.stage.replaceChildren(media);
    if (this.#place.playing) media.play().catch(() => {});
    this.#show();
  }

  /** Signed in and without a link, one is minted first. */
  #remount() {
    return this.#token !== null && this.#address().link === '' ? this.#load() : this.#mount();
  }

  #ready() {
    this.#hasBegun = true;
    if (this.#place.time > 0) this.#media.currentTime = Math.min(this.#place.time, this.#media.duration);
    this.#view.stage.hidden = !(this.#media.videoWidth > 0);
    this.#tell('ready', { details: this.#details, duration: this.#media.duration });
    this.#show();
    if (this.#details !== null && this.#peaks.length === 0 && this.getAttribute('waveform') !== 'none') this.#fetchPeaks();
  }

  /** Where there is none, the plain timeline stays. */
  async #fetchPeaks() {
    const { signal } = this.#turn;
    const points = clamp(Math.round(this.#view.timeline.clientWidth), 200, 2000);
    try {
      const response = await fetch(this.#url('/waveform', { points }), { signal, credentials: 'omit' });
      const { channels } = response.ok ? await response.json() : {};
      if (signal.aborted || !Array.isArray(channels)) return;
      this.#peaks = channels.filter((peaks) => Array.isArray(peaks) && peaks.length > 0);
      this.#show();
    } catch {
      // The recording plays without.
    }
  }

  #played(isPlaying) {
    this.#place.playing = isPlaying;
    this.#tell(this.#media.paused ? 'pause' : 'play');
    this.#show();
  }

  /** Why did the element stop? The link, the server, the stream or the codec. */
  async #diagnose(code) {
    const { signal } = this.#turn;
    try {
      await this.#askWhy(signal);
      const { media_type: detail } = this.#details;
      // The first time it may have been a moment's trouble.
      if (!this.#hasBegun && this.#puzzled++ > 0) return this.#fail({ code: 'codec-missing', detail });
      if (this.#hasBegun && code === MediaError.MEDIA_ERR_DECODE) return this.#fail({ code: 'decoding-failed', detail });
      return await this.#mayResume(signal) ? this.#remount() : this.#fail({ code: 'connection-cut' });
    } catch (error) {
      if (signal.aborted) return undefined;
      if (CUTS.includes(error.problem?.code) && await this.#mayResume(signal)) return this.#remount();
      return this.#refused(error);
    }
  }

  /** Where it waits, the server is asked why: a browser tells only after half a minute. */
  #lookInto(after = PATIENCE_MS) {
    clearTimeout(this.#patience);
    const media = this.#media;
    const { signal } = this.#turn;
    const waits = () => media === this.#media && media.error === null && (media.seeking || media.readyState < 3);
    this.#patience = setTimeout(async () => {
      if (!waits()) return undefined;
      if (this.#source !== this.#url('/media')) return this.#remount();
      try {
        await this.#askWhy(signal);
      } catch (error) {
        if (waits() && !CUTS.includes(error.problem?.code)) this.#refused(error);
      }
      return waits() && this.#lookInto(after * 2);
    }, after);
  }

  /** Throws the problem that there is; only a read where it stands can say what is wrong there. */
  async #askWhy(signal) {
    const share = this.#media?.duration > 0 && Number.isFinite(this.#media.duration) ? this.#place.time / this.#media.duration : 0;
    const fresh = await this.#ask('', { signal });
    if (!fresh.playable) throw problemOf(fresh.problem ?? {});
    this.#details = fresh;
    if (fresh.state !== 'complete' || fresh.media_len === 0) return;
    const first = clamp(Math.floor(share * fresh.media_len), 0, fresh.media_len - 1);
    await this.#ask('/media', { headers: { Range: `bytes=${first}-${Math.min(first + PROBE_LEN, fresh.media_len) - 1}` }, signal });
  }

  async #mayResume(signal) {
    const { time } = this.#place;
    this.#resumed = { time, count: Math.abs(time - this.#resumed.time) > RESUMED_S ? 1 : this.#resumed.count + 1 };
    await new Promise((resolve) => { setTimeout(resolve, RESUME_PAUSE_MS * (this.#resumed.count - 1)); });
    signal.throwIfAborted();
    return this.#resumed.count <= RESUMES;
  }

  #refused(error) {
    if (error.problem === undefined) throw error;
    if (error.problem.code === 'link-expired') {
      if (this.#minted !== null && !this.getAttribute('link')) {
        this.#minted = null;
        return this.#load();
      }
      const before = this.#url('/media');
      this.#tell('link-expired', { recording: this.#address().id, time: this.#place.time });
      if (this.#url('/media') !== before) return this.#load();
    }
    return this.#fail(error.problem);
  }

  #fail(problem) {
    this.#drop({ keep: true });
    this.#problem = problem;
    this.#tell('problem', { problem, time: this.#place.time });
    this.#show();
  }

  #drop({ keep = false } = {}) {
    if (!keep) {
      this.#turn.abort();
      this.#turn = new AbortController();
    }
    const media = this.#media;
    this.#media = null;
    if (media === null) return;
    media.pause();
    media.removeAttribute('src');
    media.load();
    media.remove();
  }

  #setRate() {
    if (this.#media !== null) [this.#media.defaultPlaybackRate, this.#media.playbackRate] = [this.speed, this.speed];
    this.#show();
  }

  #tell(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(`sealtape-${name}`, { detail, bubbles: true, composed: true }));
  }

  #show() {
    const { id } = this.#address();
    this.#view.show({
      label: this.getAttribute('label') ?? `${words.recording} ${id ?? ''}`.trim(),
      isBare: this.getAttribute('controls') === 'none',
      isOpening: id !== null && this.#problem === null && !(this.#media?.readyState > 0),
      time: this.currentTime, duration: this.#length(), paused: this.paused, speed: this.speed, peaks: this.#peaks,
      problem: this.#problem,
      download: this.#problem?.code === 'codec-missing' ? this.#url('/media', { download: id }) : null,
    });
  }

  /** In progress, it is as long as what can be sought. */
  #length() {
    const { duration } = this;
    if (Number.isFinite(duration)) return duration;
    const seekable = this.#media?.seekable;
    return seekable?.length > 0 && Number.isFinite(seekable.end(seekable.length - 1)) ? seekable.end(seekable.length - 1) : 0;
  }
}

// What is seen

/** The shadow tree; it watches while it is in a page. */
function buildView(root, player) {
  const button = (part, label, ...children) => make('button', { part, type: 'button', 'aria-label': label }, ...children);
  const playIcon = icon('');
  const stage = make('div', { class: 'stage', hidden: '' });
  const play = button('play', words.play, playIcon);
  const back = button('back', words.back, `−${SKIP_S}`);
  const forward = button('forward', words.forward, `+${SKIP_S}`);
  const canvas = make('canvas', { 'aria-hidden': 'true' });
  const timeline = make('div', { part: 'timeline', role: 'slider', tabindex: '0', 'aria-label': words.position, 'aria-valuemin': '0' }, canvas);
  const time = make('span', { part: 'time' });
  const speed = make('select', { part: 'speed', 'aria-label': words.speed });
  const full = button('fullscreen', words.fullscreen, icon('M2 6V2h4v1.5H3.5V6zM10 2h4v4h-1.5V3.5H10zM2 10h1.5v2.5H6V14H2zM12.5 10H14v4h-4v-1.5h2.5z'));
  const controls = make('div', { part: 'controls' }, play, back, forward, timeline, time, speed, full);
  const trouble = make('div', { part: 'problem', role: 'alert' });
  const group = make('div', { role: 'group', class: 'player' }, stage, controls, trouble);
  root.adoptedStyleSheets = [sheet()];
  root.append(group);

  let shown = {};
  const resized = new ResizeObserver(() => draw());
  play.addEventListener('click', () => (player.paused ? player.play().catch(() => {}) : player.pause()));
  back.addEventListener('click', () => player.seek(player.currentTime - SKIP_S));
  forward.addEventListener('click', () => player.seek(player.currentTime + SKIP_S));
  stage.addEventListener('click', () => play.click());
  full.addEventListener('click', () => (document.fullscreenElement ? document.exitFullscreen() : group.requestFullscreen()).catch(() => {}));
  speed.addEventListener('change', () => { player.speed = Number(speed.value); });
  timeline.addEventListener('keydown', (event) => {
    const to = { Home: 0, End: shown.duration }[event.key] ?? (event.key in STEPS_S ? player.currentTime + STEPS_S[event.key] : null);
    if (event.altKey || event.ctrlKey || event.metaKey || (to === null && event.key !== ' ')) return;
    event.preventDefault();
    if (to === null) play.click();
    else player.seek(to);
  });
  timeline.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    timeline.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  timeline.addEventListener('pointermove', (event) => { if (timeline.hasPointerCapture(event.pointerId)) seekTo(event); });

  function seekTo(event) {
    const { left, width } = timeline.getBoundingClientRect();
    player.seek(clamp((event.clientX - left) / width, 0, 1) * shown.duration);
  }

  function draw() {
    drawTimeline(canvas, shown.peaks ?? [], shown.duration > 0 ? shown.time / shown.duration : 0);
  }

  function show(state) {
    const { isBare, problem, download, isOpening, paused, label } = state;
    if (problem !== shown.problem) trouble.replaceChildren(...(problem === null ? [] : explain(problem, download, () => player.reload())));
    shown = state;
    group.setAttribute('aria-label', label);
    controls.hidden = isBare || problem !== null;
    trouble.hidden = problem === null;
    stage.hidden ||= problem !== null;
    full.hidden = stage.hidden || !document.fullscreenEnabled;
    play.setAttribute('aria-label', paused ? words.play : words.pause);
    playIcon.firstChild.setAttribute('d', paused ? 'M3 1.5v13l11-6.5z' : 'M3 2h4v12H3zM9 2h4v12H9z');
    time.textContent = isOpening ? words.opening : `${clock(state.time)} / ${state.duration > 0 ? clock(state.duration) : '–:––'}`;
    timeline.setAttribute('aria-valuemax', String(Math.floor(state.duration)));
    timeline.setAttribute('aria-valuenow', String(Math.floor(Math.min(state.time, state.duration))));
    timeline.setAttribute('aria-valuetext', `${clock(state.time)} ${words.of} ${clock(state.duration)}`);
    const speeds = [...new Set([...SPEEDS, state.speed])].sort((a, b) => a - b);
    if (speed.options.length !== speeds.length) speed.replaceChildren(...speeds.map((value) => make('option', { value }, `${value}×`)));
    speed.value = String(state.speed);
    draw();
  }

  return { stage, timeline, show, watch: () => resized.observe(timeline), rest: () => resized.disconnect() };
}

/** In plain words, with what support asks for. */
function explain(problem, download, retry) {
  const again = make('button', { part: 'retry', type: 'button' }, words.retry);
  again.addEventListener('click', retry);
  const facts = [[words.fingerprint, problem.fingerprint], [words.request, problem.instance]].filter(([, value]) => value);
  return [
    make('p', { class: 'said' }, words.problems[problem.code] ?? problem.title ?? problem.code ?? ''),
    make('p', { class: 'facts' }, `${problem.code ?? ''}${problem.detail ? ` · ${problem.detail}` : ''}`,
      ...facts.map(([name, value]) => make('span', {}, `${name} ${value}`))),
    make('p', { class: 'ways' }, again, ...(download === null ? [] : [make('a', { part: 'download', href: download }, words.download)])),
  ];
}

/** Channels above each other, or a bar; in the colours of the canvas. */
function drawTimeline(canvas, channels, played) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio || 1;
  if (width === 0 || height === 0) return;
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  const { color, borderTopColor } = getComputedStyle(canvas);
  const x = clamp(played, 0, 1) * width;
  for (const [from, to, paint] of [[0, x, borderTopColor], [x, width, color]]) {
    context.fillStyle = paint;
    if (channels.length === 0) context.fillRect(from, height / 2 - 2, to - from, 4);
    channels.forEach((peaks, index) => {
      const lane = height / channels.length;
      const middle = lane * (index + 0.5);
      for (let column = Math.floor(from); column < to; column += 1) {
        const [low, high] = extent(peaks, column / width, (column + 1) / width);
        const top = middle - high * lane * 0.46;
        context.fillRect(column, top, 1, Math.max(1, middle - low * lane * 0.46 - top));
      }
    });
  }
  context.fillStyle = borderTopColor;
  context.fillRect(clamp(x - 1, 0, width - 2), 0, 2, height);
}

function extent(peaks, from, to) {
  const first = Math.min(peaks.length - 1, Math.floor(from * peaks.length));
  const after = Math.max(first + 1, Math.ceil(to * peaks.length));
  return peaks.slice(first, after).reduce(([low, high], [min, max]) => [Math.min(low, min), Math.max(high, max)], [0, 0]);
}

// Small things

/** The server that this file came from; else the page's origin. */
function home() {
  const [, base] = /^(.*)\/player\/sealtape-player\.js$/.exec(import.meta.url.split(/[?#]/)[0]) ?? [];
  return base ?? location.origin;
}

function problemOf(problem) {
  return Object.assign(new Error(), { problem });
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, '0')];
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`;
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/** Text never becomes markup. */
function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function icon(path) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(svg.namespaceURI, 'path'));
  svg.firstChild.setAttribute('d', path);
  return svg;
}

let made = null;

/** Constructed: no policy against inline styles meets it. */
function sheet() {
  if (made === null) {
    made = new CSSStyleSheet();
    made.replaceSync(STYLE);
  }
  return made;
}

const STYLE = `
:host {
  --accent: var(--sealtape-accent, light-dark(#1c4a80, #8ab8f0)); --accent-text: var(--sealtape-accent-text, light-dark(#fff, #0c1726));
  --surface: var(--sealtape-surface, light-dark(#fff, #161d27)); --text: var(--sealtape-text, light-dark(#18212d, #e7ecf3));
  --muted: var(--sealtape-muted, light-dark(#55606f, #a3b0c1)); --wave: var(--sealtape-wave, light-dark(#7b8796, #74839a));
  --border: var(--sealtape-border, light-dark(#d5dbe3, #2c3847)); --bad: var(--sealtape-bad, light-dark(#9c1c1c, #f5a3a0));
  display: block; min-width: 0; color: var(--text); font: 15px/1.4 system-ui, sans-serif;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
.player { container-type: inline-size; background: var(--surface); border: 1px solid var(--border); border-radius: var(--sealtape-radius, 8px); overflow: hidden; }
.stage { background: #000; }
video { display: block; width: 100%; max-height: 70vh; }
audio { display: none; }
.player:fullscreen, :fullscreen .stage { display: flex; flex-direction: column; }
:fullscreen .stage, :fullscreen video { flex: 1; min-height: 0; max-height: none; }
[part=controls] { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; padding: .6rem .75rem; }
button, select, a {
  display: inline-flex; align-items: center; justify-content: center; min-width: 2.25rem; min-height: 2.25rem; padding: .2rem .5rem; font: inherit;
  font-size: .875rem; color: var(--text); background: var(--surface); border: 1px solid var(--wave); border-radius: 6px; text-decoration: none; cursor: pointer;
}
[part=play] { width: 2.5rem; height: 2.5rem; padding: 0; border-radius: 50%; border-color: var(--accent); background: var(--accent); color: var(--accent-text); }
svg { width: 1rem; height: 1rem; fill: currentColor; }
[part=timeline] { flex: 1 1 12rem; height: var(--sealtape-timeline-height, 3rem); min-width: 6rem; border-radius: 4px; cursor: pointer; touch-action: none; }
canvas { display: block; width: 100%; height: 100%; color: var(--wave); border: 0 solid var(--accent); }
[part=time] { color: var(--muted); font-size: .875rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
[part=problem] { padding: .9rem 1rem; border-left: 4px solid var(--bad); overflow-wrap: anywhere; }
p { margin: 0; }
.said { font-weight: 600; color: var(--bad); }
.facts { margin: .3rem 0 .7rem; color: var(--muted); font-size: .8125rem; }
.facts span::before { content: " · "; }
.ways { display: flex; gap: .5rem; }
@container (max-width: 30rem) { [part=timeline] { order: 9; flex-basis: 100%; } [part=time] { margin-left: auto; } }
`;

/** Those that mirror an attribute. */
const MIRRORS = SealtapePlayer.observedAttributes.filter((it) => it !== 'speed');
const PROPERTIES = [...MIRRORS, 'token', 'speed', 'currentTime'];

for (const name of MIRRORS) {
  Object.defineProperty(SealtapePlayer.prototype, name, {
    get() { return this.getAttribute(name); },
    set(value) {
      if (value === null || value === undefined) this.removeAttribute(name);
      else this.setAttribute(name, value);
    },
  });
}
if (!customElements.get('sealtape-player')) customElements.define('sealtape-player', SealtapePlayer);
