// Names what a media file is by its first bytes, for the moment when a browser cannot play it.
// It knows no page and fetches nothing; it never decides whether something may be played.

/** How many first bytes are worth asking for. */
export const ENOUGH = 4096;

/** `{ name, type }`: words for people, and what `canPlayType` takes where that can be said; null when nothing is recognised. */
export function nameCodec(bytes) {
  for (const recognise of [riff, isoMedia, matroska, ogg, simple, mpegAudio]) {
    const found = recognise(bytes);
    if (found !== null) return found;
  }
  return null;
}

/** RIFF: WAVE names its codec by the format tag of its `fmt ` chunk. */
function riff(bytes) {
  if (!['RIFF', 'RIFX', 'RF64'].includes(ascii(bytes, 0, 4))) return null;
  const form = ascii(bytes, 8, 4);
  if (form === 'AVI ') return named('AVI video', 'video/x-msvideo');
  if (form !== 'WAVE') return named('an unknown RIFF file');
  let at = 12;
  while (at + 24 <= bytes.length && ascii(bytes, at, 4) !== 'fmt ') at += 8 + little(bytes, at + 4, 4) + (bytes[at + 4] & 1);
  if (at + 24 > bytes.length) return named('WAVE audio', 'audio/wav');
  const tag = little(bytes, at + 8, 2);
  // An extensible header carries the real tag at the start of its sub-format.
  const codec = tag === 0xfffe && at + 34 <= bytes.length ? little(bytes, at + 32, 2) : tag;
  const name = WAVE_TAGS[codec] ?? `WAVE format 0x${codec.toString(16).padStart(2, '0')}`;
  return named(name, `audio/wav; codecs="${codec.toString(16)}"`);
}

/** MP4 and QuickTime: the sample entries where they lie near the front, else the brand. (Brands can read like sample entries.) */
function isoMedia(bytes) {
  if (ascii(bytes, 4, 4) !== 'ftyp') return null;
  const brand = ascii(bytes, 8, 4).trim();
  const codecs = mentioned(bytes.subarray(big32(bytes, 0)), ISO_CODECS);
  const container = brand === 'qt' ? 'QuickTime' : /^3g/.test(brand) ? '3GPP' : 'MP4';
  return named(codecs.length > 0 ? `${codecs.join(' with ')} (${container})` : `${container} (brand ${brand})`);
}

/** EBML: Matroska and WebM name their codecs by strings. */
function matroska(bytes) {
  if (!starts(bytes, [0x1a, 0x45, 0xdf, 0xa3])) return null;
  const container = find(bytes, 'webm') < 0 ? 'Matroska' : 'WebM';
  const codecs = mentioned(bytes, MATROSKA_CODECS);
  return named(codecs.length > 0 ? `${codecs.join(' with ')} (${container})` : container);
}

function ogg(bytes) {
  if (ascii(bytes, 0, 4) !== 'OggS') return null;
  for (const [mark, name, type] of OGG_CODECS) {
    if (find(bytes, mark) >= 0) return named(name, type);
  }
  return named('Ogg', 'audio/ogg');
}

/** Formats that the first bytes tell alone. */
function simple(bytes) {
  for (const [mark, name, type] of SIGNATURES) {
    if (starts(bytes, mark)) return named(name, type);
  }
  return bytes[0] === 0x47 && bytes[188] === 0x47 && bytes[376] === 0x47 ? named('MPEG transport stream', 'video/mp2t') : null;
}

/** A frame header stands at the front: 11 set bits, then version and layer. */
function mpegAudio(bytes) {
  if (bytes[0] !== 0xff || (bytes[1] & 0xe0) !== 0xe0 || (bytes[1] & 0x18) === 0x08) return null;
  if ((bytes[1] & 0xf6) === 0xf0) return named('AAC', 'audio/aac');
  return [null, named('MP3', 'audio/mpeg'), named('MPEG audio layer 2'), named('MPEG audio layer 1')][(bytes[1] >> 1) & 3];
}

function named(name, type = null) {
  return { name, type };
}

/** The names of those codecs whose mark occurs; the order of the table is the order of the words. */
function mentioned(bytes, table) {
  return table.filter(([mark]) => find(bytes, mark) >= 0).map(([, name]) => name);
}

/** Where a mark occurs first, its characters taken as bytes; -1 where it does not. */
export function find(bytes, text) {
  const mark = [...text].map((character) => character.charCodeAt(0));
  for (let at = 0; at + mark.length <= bytes.length; at += 1) {
    if (mark.every((value, index) => bytes[at + index] === value)) return at;
  }
  return -1;
}

function starts(bytes, mark) {
  return mark.every((value, index) => bytes[index] === value);
}

function ascii(bytes, at, length) {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

function big32(bytes, at) {
  return new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
}

function little(bytes, at, length) {
  let value = 0;
  for (let index = length - 1; index >= 0; index -= 1) value = value * 256 + bytes[at + index];
  return value;
}

/** Format tags of the WAVE registry (RFC 2361), with those that call recorders write. */
const WAVE_TAGS = {
  0x01: 'PCM', 0x02: 'Microsoft ADPCM', 0x03: 'PCM (floating point)', 0x06: 'G.711 A-law', 0x07: 'G.711 mu-law',
  0x10: 'OKI ADPCM', 0x11: 'IMA ADPCM', 0x14: 'G.723 ADPCM', 0x17: 'Dialogic OKI ADPCM', 0x22: 'TrueSpeech',
  0x31: 'GSM 6.10', 0x40: 'G.721 ADPCM', 0x41: 'G.728', 0x42: 'G.723.1', 0x45: 'G.726 ADPCM', 0x50: 'MPEG audio', 0x55: 'MP3',
  0x64: 'G.726 ADPCM', 0x65: 'G.722', 0x83: 'G.729', 0xff: 'AAC', 0x160: 'Windows Media Audio', 0x161: 'Windows Media Audio',
};

const ISO_CODECS = [
  ['avc1', 'H.264'], ['avc3', 'H.264'], ['hvc1', 'H.265 (HEVC)'], ['hev1', 'H.265 (HEVC)'], ['av01', 'AV1'], ['vp09', 'VP9'],
  ['mp4v', 'MPEG-4 Visual'], ['s263', 'H.263'], ['mp4a', 'AAC'], ['Opus', 'Opus'], ['alac', 'Apple Lossless'], ['ac-3', 'AC-3'],
  ['samr', 'AMR'], ['sawb', 'AMR wideband'],
];

const MATROSKA_CODECS = [
  ['V_MPEG4/ISO/AVC', 'H.264'], ['V_MPEGH/ISO/HEVC', 'H.265 (HEVC)'], ['V_AV1', 'AV1'], ['V_VP9', 'VP9'], ['V_VP8', 'VP8'],
  ['V_MS/VFW', 'a Windows video codec'], ['A_OPUS', 'Opus'], ['A_VORBIS', 'Vorbis'], ['A_AAC', 'AAC'], ['A_MPEG/L3', 'MP3'],
  ['A_PCM', 'PCM'], ['A_AC3', 'AC-3'], ['A_FLAC', 'FLAC'],
];

const OGG_CODECS = [
  ['OpusHead', 'Opus (Ogg)', 'audio/ogg; codecs="opus"'], ['\x01vorbis', 'Vorbis (Ogg)', 'audio/ogg; codecs="vorbis"'],
  ['Speex   ', 'Speex (Ogg)'], ['\x7fFLAC', 'FLAC (Ogg)', 'audio/ogg; codecs="flac"'], ['\x80theora', 'Theora (Ogg)'],
];

const SIGNATURES = [
  [[0x49, 0x44, 0x33], 'MP3', 'audio/mpeg'],
  [[0x66, 0x4c, 0x61, 0x43], 'FLAC', 'audio/flac'],
  [[0x23, 0x21, 0x41, 0x4d, 0x52, 0x2d, 0x57, 0x42], 'AMR wideband'],
  [[0x23, 0x21, 0x41, 0x4d, 0x52], 'AMR'],
  [[0x2e, 0x73, 0x6e, 0x64], 'Sun audio (AU)', 'audio/basic'],
  [[0x46, 0x4f, 0x52, 0x4d], 'AIFF', 'audio/aiff'],
  [[0x30, 0x26, 0xb2, 0x75], 'Windows Media', 'video/x-ms-asf'],
  [[0x00, 0x00, 0x01, 0xba], 'MPEG program stream', 'video/mpeg'],
  [[0x46, 0x4c, 0x56, 0x01], 'Flash video', 'video/x-flv'],
  [[0x25, 0x50, 0x44, 0x46], 'a PDF document'],
  [[0x50, 0x4b, 0x03, 0x04], 'a ZIP archive'],
];
