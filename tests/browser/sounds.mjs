// Makes sounds whose waveform is known: PCM in a WAV file, each channel a function of the time.
// It knows neither the server nor the page.

/** A WAV of 16 bits; `channels` are functions of seconds that give -1 … 1. */
export function wav({ seconds, rate = 8000, channels }) {
  const frames = Math.round(seconds * rate);
  const data = Buffer.alloc(frames * channels.length * 2);
  for (let frame = 0; frame < frames; frame += 1) {
    channels.forEach((channel, index) => {
      data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, channel(frame / rate))) * 32767), (frame * channels.length + index) * 2);
    });
  }
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels.length, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * channels.length * 2, 28);
  head.writeUInt16LE(channels.length * 2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

/** A tone of that strength, where `sounds(seconds)` says that there is one. */
export function tone(strength, sounds = () => true, hertz = 440) {
  return (seconds) => (sounds(seconds) ? strength * Math.sin(2 * Math.PI * hertz * seconds) : 0);
}
