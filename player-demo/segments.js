// What a MediaSource has to be told of a stream: its type with the codecs, and where one that is cut out of the middle begins.
// It fetches nothing and knows no element (following.js); codec.js has the names for people.

import { find } from './codec.js';

/**
 * How a stream of that media type can be appended piece by piece, by its first bytes: `{ type, isTimed, beginsAt(bytes) }`; null
 * when it cannot, or the bytes are too few to tell. Where it `isTimed`, what comes says itself when it sounds. `beginsAt` is the
 * place of the first whole segment, -1 while there is none.
 */
export function streamOf(mediaType, bytes) {
  const [, essence] = /^\s*([^\s;]+)/.exec(mediaType.toLowerCase()) ?? [];
  if (essence in FRAMES) return { type: FRAMES[essence], isTimed: false, beginsAt: () => 0 };
  const container = CONTAINERS.find(({ types }) => types.includes(essence));
  if (container === undefined || !container.isOne(bytes)) return null;
  const codecs = container.codecs.map(([mark, codec]) => [find(bytes, mark), codec]).filter(([at]) => at >= 0);
  if (codecs.length === 0) return null;
  const names = codecs.map(([at, codec]) => (typeof codec === 'string' ? codec : codec(bytes, at)));
  return { type: `${container.name(essence)}; codecs="${names.join(',')}"`, isTimed: true, beginsAt: container.beginsAt };
}

/** Frames stand alone here, and a decoder finds the next one by itself. */
const FRAMES = { 'audio/mpeg': 'audio/mpeg', 'audio/mp3': 'audio/mpeg', 'audio/aac': 'audio/aac', 'audio/aacp': 'audio/aac' };

const CLUSTER = '\x1f\x43\xb6\x75';

const CONTAINERS = [
  {
    types: ['audio/webm', 'video/webm'],
    name: (essence) => essence,
    isOne: (bytes) => find(bytes, '\x1a\x45\xdf\xa3') === 0 && find(bytes, 'webm') >= 0,
    codecs: [['A_OPUS', 'opus'], ['A_VORBIS', 'vorbis'], ['V_VP8', 'vp8'], ['V_VP9', 'vp9']],
    beginsAt: (bytes) => find(bytes, CLUSTER),
  },
  {
    types: ['audio/mp4', 'audio/x-m4a', 'video/mp4'],
    name: (essence) => (essence === 'video/mp4' ? essence : 'audio/mp4'),
    // Only a fragmented one can be appended.
    isOne: (bytes) => find(bytes, 'ftyp') === 4 && find(bytes, 'mvex') >= 0,
    codecs: [['mp4a', 'mp4a.40.2'], ['Opus', 'opus'], ['fLaC', 'flac'], ['avcC', avc]],
    beginsAt: (bytes) => {
      const at = find(bytes, 'moof');
      return at < 4 ? -1 : at - 4;
    },
  },
];

/** Profile, constraints and level of H.264, from its configuration record. */
function avc(bytes, at) {
  return `avc1.${[...bytes.subarray(at + 5, at + 8)].map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}
