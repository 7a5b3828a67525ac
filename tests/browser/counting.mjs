// Stands between a player and the server: hands everything through as it comes, counts the bytes of each answer that were
// handed on, and cuts an answer where a test wants it. What lies in sockets' buffers counts as handed on.

import http from 'node:http';

/**
 * `{ url, take(), cut(bytes), settled() }`: `take()` gives what was answered since it was last asked, each
 * `{ method, path, range, status, bytes }`; `cut(bytes)` breaks the next long answer off after so many bytes.
 */
export async function counting(t, server) {
  const to = new URL(server);
  const agent = new http.Agent({ keepAlive: true });
  const sockets = new Set();
  let answers = [];
  let cutAfter = null;
  let moved = 0;

  const proxy = http.createServer((request, response) => {
    const seen = { method: request.method, path: request.url, range: request.headers.range ?? null, status: null, bytes: 0 };
    answers.push(seen);
    const options = { host: to.hostname, port: to.port, method: request.method, path: request.url, headers: request.rawHeaders, agent };
    const asked = http.request(options, (answer) => {
      seen.status = answer.statusCode;
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.on('data', (part) => {
        seen.bytes += part.length;
        moved += 1;
        if (cutAfter !== null && seen.bytes >= cutAfter) {
          cutAfter = null;
          response.socket.destroy();
          return;
        }
        if (!response.write(part)) answer.pause();
      });
      response.on('drain', () => answer.resume());
      answer.on('end', () => response.end());
      answer.on('error', () => response.socket?.destroy());
    });
    asked.on('error', () => response.socket?.destroy());
    response.on('close', () => asked.destroy());
    request.pipe(asked);
  });
  proxy.on('connection', (socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    agent.destroy();
    return new Promise((resolve) => { proxy.close(resolve); });
  });

  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    take: () => answers.splice(0),
    cut: (bytes) => { cutAfter = bytes; },
    /** Waits until nothing has come for a while. */
    settled: async (quietMs = 400, patienceMs = 8000) => {
      const end = performance.now() + patienceMs;
      for (let last = -1; last !== moved && performance.now() < end;) {
        last = moved;
        await new Promise((resolve) => { setTimeout(resolve, quietMs); });
      }
    },
  };
}

/** The bytes of media among what was answered. */
export function mediaBytes(answers) {
  return answers.filter(({ path }) => /\/media(\?|$)/.test(path)).reduce((sum, { bytes }) => sum + bytes, 0);
}
