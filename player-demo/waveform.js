// Draws a waveform on a canvas: one lane a channel, what was played in one colour and the rest in another.
// A pure drawing: it knows no page, no server and no clock. `channels` is what `/waveform` answers: min and max, -1 … 1, of equal parts.

/**
 * Draws into the canvas at the size that the style sheet gives it. `played` is a share from 0 to 1.
 * Without channels it draws a plain line, as for a format whose sound the server does not decode.
 */
export function drawWaveform(canvas, channels, { played = 0, colours }) {
  const scale = globalThis.devicePixelRatio ?? 1;
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (width === 0 || height === 0) return;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, width, height);
  const edge = Math.round(played * width);
  if (channels.length === 0) {
    const thick = Math.max(2, Math.round(4 * scale));
    paint(context, colours, edge, width, (from, to) => context.fillRect(from, Math.round((height - thick) / 2), to - from, thick));
    return;
  }
  const lane = height / channels.length;
  channels.forEach((points, index) => {
    const middle = lane * (index + 0.5);
    const reach = lane / 2 - 2 * scale;
    paint(context, colours, edge, width, (from, to) => {
      for (let x = from; x < to; x += 1) {
        const [min, max] = extremes(points, x / width, (x + 1) / width);
        const top = Math.round(middle - max * reach);
        context.fillRect(x, top, 1, Math.max(Math.round(scale), Math.round((max - min) * reach)));
      }
    });
    if (index === 0) return;
    context.fillStyle = colours.line;
    context.fillRect(0, Math.round(lane * index), width, Math.max(1, Math.round(scale)));
  });
}

/** The lowest and highest of those points that lie, in part at least, between two shares of the whole. */
export function extremes(points, from, to) {
  const first = Math.min(points.length - 1, Math.floor(from * points.length));
  const last = Math.max(first + 1, Math.min(points.length, Math.ceil(to * points.length - 1e-9)));
  let [min, max] = [0, 0];
  for (let at = first; at >= 0 && at < last; at += 1) {
    min = Math.min(min, points[at][0]);
    max = Math.max(max, points[at][1]);
  }
  return [Math.max(-1, min), Math.min(1, max)];
}

function paint(context, colours, edge, width, draw) {
  context.fillStyle = colours.played;
  draw(0, edge);
  context.fillStyle = colours.rest;
  draw(edge, width);
}
