// A proxy between a browser and the server that breaks connections in the middle of an answer, as networks do.
// What it lets through it does not change; it writes down what was asked.

import http from 'node:http';

import { atEnd } from './harness.mjs';

/** `{ url, asked, cut(times, afterBytes), breakOff(), fail(times), refuse(bool) }`; `asked` are the media requests: `{ range, status, cut }`. */
export async function cuttingProxy(t, server) {
  const asked = [];
  let [cuts, after] = [0, 0];
  let refused = false;
  let failing = 0;
  const proxy = http.createServer((request, response) => {
    if (refused) {
      request.socket.destroy();
      return;
    }
    const isMedia = /\/media(\?|$)/.test(request.url) && request.method === 'GET';
    if (isMedia && failing > 0) {
      failing -= 1;
      asked.push({ range: request.headers.range ?? null, status: 502, cut: false });
      response.writeHead(502).end();
      return;
    }
    const upstream = http.request(new URL(request.url, server), { method: request.method, headers: { ...request.headers, host: new URL(server).host } }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      const entry = { range: request.headers.range ?? null, status: answer.statusCode, cut: false };
      if (isMedia) asked.push(entry);
      if (!isMedia || cuts === 0) {
        answer.pipe(response);
        return;
      }
      let passed = 0;
      answer.on('data', (part) => {
        if (entry.cut) return;
        passed += part.length;
        response.write(part.subarray(0, Math.max(0, part.length - Math.max(0, passed - after))));
        if (passed < after || cuts === 0) return;
        cuts -= 1;
        entry.cut = true;
        // What was written leaves before the connection breaks.
        setTimeout(() => request.socket.destroy(), 50);
        answer.destroy();
      });
      answer.on('end', () => response.end());
    });
    upstream.on('error', () => request.socket.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise((ready) => { proxy.listen(0, '127.0.0.1', ready); });
  atEnd(t, () => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    asked,
    /** The next `times` media answers break off after so many bytes. */
    cut: (times, afterBytes) => { [cuts, after] = [times, afterBytes]; },
    /** What is under way breaks off at once. */
    breakOff: () => proxy.closeAllConnections(),
    /** The next `times` media requests are answered as by a gateway whose server is away. */
    fail: (times) => { failing = times; },
    /** Whether nothing at all is answered. */
    refuse: (wanted) => {
      refused = wanted;
      if (wanted) proxy.closeAllConnections();
    },
  };
}
