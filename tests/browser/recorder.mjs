// A recorder at work, for tests: ffmpeg speaks in real time until it is stopped, and what it writes goes into a PUT.
// It knows neither the page nor what becomes of the recording.

import { spawn } from 'node:child_process';
import http from 'node:http';

import { atEnd, system } from './harness.mjs';

/** What a recorder writes: sound at 64 kbit/s where nothing else is said. */
export const FORMATS = {
  webm: { type: 'audio/webm', format: ['-c:a', 'libopus', '-f', 'webm', '-live', '1', '-cluster_time_limit', '500'] },
  opus: { type: 'audio/webm', format: ['-c:a', 'libopus', '-b:a', '64k', '-vbr', 'off', '-cluster_time_limit', '200', '-live', '1', '-f', 'webm'] },
  mp3: { type: 'audio/mpeg', format: ['-c:a', 'libmp3lame', '-b:a', '64k', '-f', 'mp3'] },
  aac: { type: 'audio/aac', format: ['-c:a', 'aac', '-b:a', '64k', '-f', 'adts'] },
  mp4: { type: 'audio/mp4', format: ['-c:a', 'aac', '-b:a', '64k', '-movflags', '+frag_keyframe+empty_moov+default_base_moof', '-frag_duration', '200000', '-f', 'mp4'] },
  wav: { type: 'audio/wav', format: ['-c:a', 'pcm_s16le', '-f', 'wav'] },
};

/** A server of its own: `{ url, place, begin(id, { instead }) }`; `instead` of what is spoken, bytes that are there at once, and no end. */
export async function recorder(t, { type, format } = FORMATS.webm) {
  const place = system(t);
  await place.run(['keys', 'generate']);
  const { url } = await place.serve();
  const begin = (id, { instead = null } = {}) => {
    const source = instead === null ? speak(t, format) : null;
    let begun = null;
    source?.stdout.once('data', () => { begun = performance.now(); });
    const put = http.request(`${url}/recordings/${id}/media`, { method: 'PUT', headers: { 'Content-Type': type } });
    const done = new Promise((resolve) => { put.on('response', (response) => response.resume().on('end', () => resolve(response.statusCode))); });
    // A recorder that is stopped hard breaks its connection.
    put.on('error', () => {});
    if (source === null) put.write(instead);
    else source.stdout.pipe(put);
    return {
      /** Seconds that were recorded so far, about: it is encoded as fast as it is spoken. */
      seconds: () => (begun === null ? 0 : (performance.now() - begun) / 1000),
      /** Interrupted, ffmpeg writes its end. */
      stop: () => {
        source.kill('SIGINT');
        return done;
      },
      die: () => {
        source.stdout.unpipe(put);
        source.kill();
        put.destroy();
      },
    };
  };
  return { url, place, begin };
}

function speak(t, format) {
  const tone = 'sine=frequency=440:sample_rate=8000:samples_per_frame=160';
  const source = spawn('ffmpeg', ['-v', 'error', '-re', '-f', 'lavfi', '-i', tone, ...format, '-flush_packets', '1', '-'], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(t, () => source.kill());
  return source;
}

export const described = async (url, id) => (await fetch(`${url}/recordings/${id}`)).json();
