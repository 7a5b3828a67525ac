// Long recordings as players meet them, made by ffmpeg and sealed: an hour of speech-like sound in the usual formats, and
// screen videos with their index in front and at the end. A minute is encoded and repeated, so that an hour takes seconds.

import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const SOUND = ['-f', 'lavfi', '-i', 'anoisesrc=r=22050:d=60:a=0.05,tremolo=f=0.5:d=0.9'];
const SCREEN = ['-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=10:d=60,noise=alls=12:allf=t'];

/** How each is made: its minute, how often that is repeated, and what is said to ffmpeg for the whole. */
const MADE = {
  'hour.mp3': { minute: [...SOUND, '-c:a', 'libmp3lame', '-b:a', '64k', '-compression_level', '9'], times: 60, whole: [] },
  'hour.ogg': { minute: [...SOUND, '-c:a', 'libvorbis', '-b:a', '64k'], times: 60, whole: [] },
  'hour.m4a': { minute: [...SOUND, '-c:a', 'aac', '-b:a', '64k'], times: 60, whole: [] },
  'hour.wav': { minute: ['-f', 'lavfi', '-i', 'anoisesrc=r=8000:d=60:a=0.05,tremolo=f=0.5:d=0.9', '-c:a', 'pcm_mulaw'], times: 60, whole: [] },
  'front.mp4': { minute: [...SCREEN, ...SOUND, '-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '700k', '-g', '40', '-c:a', 'aac'], times: 5, whole: ['-movflags', '+faststart'] },
  'back.mp4': { minute: [...SCREEN, ...SOUND, '-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '700k', '-g', '40', '-c:a', 'aac'], times: 5, whole: [] },
  'film.webm': { minute: [...SCREEN, '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '700k', '-g', '40'], times: 5, whole: [] },
};

/** Makes recordings by their names and seals them: `{ 'hour.mp3': { id, file, length, seconds } }`. */
export async function recordings(at, names) {
  const made = {};
  for (const name of names) {
    const file = await make(at.dir, name);
    made[name] = { id: name, file, length: statSync(file).size, seconds: MADE[name].times * 60 };
    await at.run(['import', file, '--id', name]);
  }
  return made;
}

/** Makes one of them in a folder; its path. */
export async function make(dir, name) {
  const { minute, times, whole } = MADE[name];
  const ending = path.extname(name);
  const [piece, file] = [path.join(dir, `minute-${name}`), path.join(dir, name)];
  await run('ffmpeg', ['-v', 'error', '-y', ...minute, piece]);
  await run('ffmpeg', ['-v', 'error', '-y', '-stream_loop', String(times - 1), '-i', piece, '-c', 'copy', ...whole, '-f', FORMATS[ending], file]);
  return file;
}

const FORMATS = { '.mp3': 'mp3', '.ogg': 'ogg', '.m4a': 'ipod', '.wav': 'wav', '.mp4': 'mp4', '.webm': 'webm' };

const run = promisify(execFile);
