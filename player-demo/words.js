// Turns the fields of a recording into words for people: type, length, time, file name.
// It knows no page and no server; every function is pure.

/** "Audio", "Screen recording", "PDF document" … for a media type. */
export function kind(recording) {
  const type = essence(recording.media_type);
  if (type.startsWith('audio/')) return 'Audio';
  if (type.startsWith('video/')) return isScreen(recording) ? 'Screen recording' : 'Video';
  if (type.startsWith('image/')) return 'Image';
  return KINDS[type] ?? (type.startsWith('text/') ? 'Text' : 'File');
}

/** `audio`, `video`, or null where no player fits. */
export function playerFor(recording) {
  const family = essence(recording.media_type).split('/')[0];
  return family === 'audio' || family === 'video' ? family : null;
}

/** "1.4 MB", in powers of 1000. */
export function bytes(count) {
  if (!Number.isFinite(count)) return 'length unknown';
  if (count < 1000) return `${count} ${count === 1 ? 'byte' : 'bytes'}`;
  let value = count;
  let unit = -1;
  do {
    value /= 1000;
    unit += 1;
  } while (value >= 999.5 && unit < UNITS.length - 1);
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 99.5 ? 1 : 0 })} ${UNITS[unit]}`;
}

/** "1:23", from an hour on "1:02:03". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** When it was recorded, as an RFC 3339 time: what the recorder said, else when it was stored. */
export function recordedAt(recording) {
  return recording.metadata?.started_at ?? recording.created_at;
}

/** A point in time in the reader's own time zone; text that is no time is returned as it is. */
export function moment(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time ?? 'unknown');
  return date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/** A day as people write it; text that is no day is returned as it is. */
export function day(text) {
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  if (year === undefined) return text;
  return new Date(Number(year), Number(month) - 1, Number(date)).toLocaleDateString(undefined, { dateStyle: 'medium' });
}

/** "1 recording", "1,200 recordings". */
export function counted(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}

/** "1 hour 2 minutes 3 seconds", for what is read aloud. */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(whole / 3600), 'hour'], [Math.floor(whole / 60) % 60, 'minute'], [whole % 60, 'second']];
  const said = parts.filter(([count], index) => count > 0 || (index === 2 && whole === 0));
  return said.map(([count, noun]) => counted(count, noun)).join(' ');
}

/** The first and last characters of a fingerprint, enough to tell two apart. */
export function shortFingerprint(fingerprint) {
  return fingerprint.length <= 20 ? fingerprint : `${fingerprint.slice(0, 8)}…${fingerprint.slice(-4)}`;
}

/** What a download is to be called: the ID with the usual ending of its type. */
export function fileName(recording) {
  const type = essence(recording.media_type);
  const subtype = type.split('/')[1] ?? '';
  const ending = ENDINGS[type] ?? (/^[a-z0-9]{2,5}$/.test(subtype) ? subtype : null);
  const ends = !ending || recording.id.toLowerCase().endsWith(`.${ending}`);
  return ends ? recording.id : `${recording.id}.${ending}`;
}

/** The media type without parameters, in lower case. */
function essence(mediaType) {
  return String(mediaType ?? '').split(';')[0].trim().toLowerCase();
}

/** A video is called a screen recording only where its recorder or its ID says so. */
function isScreen(recording) {
  const said = [recording.id, ...(recording.metadata?.tags ?? [])];
  return said.some((text) => /(^|[^a-z])screen/i.test(String(text)));
}

const UNITS = ['kB', 'MB', 'GB', 'TB'];

const KINDS = {
  'application/pdf': 'PDF document',
  'application/json': 'Data (JSON)',
  'application/xml': 'Data (XML)',
  'application/zip': 'Archive',
  'text/csv': 'Table (CSV)',
  'text/html': 'Web page',
  'text/vtt': 'Subtitles',
};

const ENDINGS = {
  'audio/wav': 'wav', 'audio/x-wav': 'wav', 'audio/wave': 'wav', 'audio/vnd.wave': 'wav',
  'audio/mpeg': 'mp3', 'audio/mp4': 'm4a', 'audio/x-m4a': 'm4a', 'audio/opus': 'opus', 'audio/basic': 'au',
  'audio/amr': 'amr', 'audio/gsm': 'gsm', 'audio/x-gsm': 'gsm', 'audio/x-ms-wma': 'wma',
  'video/quicktime': 'mov', 'video/x-matroska': 'mkv', 'video/x-msvideo': 'avi', 'video/mp2t': 'ts', 'video/x-ms-wmv': 'wmv',
  'image/jpeg': 'jpg', 'image/svg+xml': 'svg', 'text/plain': 'txt', 'application/octet-stream': 'bin',
};
