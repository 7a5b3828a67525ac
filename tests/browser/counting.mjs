// Stands between a player and the server: hands everything through, counts the bytes of each answer that were handed on,
// and cuts an answer where a test wants it. Answers come at the pace of an ordinary line: a loopback hands megabytes into
// the buffers of sockets before a player has looked at the first of them, and they would count as fetched.

import http from 'node:http';

/** Bytes a second of one answer: 16 Mbit/s. */
const RATE = 2_000_000;

/**
 * `{ url, take(), cut(bytes, times), refuse(times) }`: `take()` gives what was answered since it was last asked, each
 * `{ method, path, range, status, bytes }`; `cut` breaks the next answers with media off, `refuse` answers
 * as a balancer that has nobody to ask.
 */
export async function counting(t, server) {
  const to = new URL(server);
  const agent = new http.Agent({ keepAlive: true });
  const sockets = new Set();
  let answers = [];
  let cuts = { after: 0, times: 0 };
  let refusals = 0;

  const proxy = http.createServer((request, response) => {
    const seen = { method: request.method, path: request.url, range: request.headers.range ?? null, status: null, bytes: 0, taken: 0, isOver: false };
    answers.push(seen);
    if (refusals > 0 && isMedia(seen)) {
      refusals -= 1;
      seen.isOver = true;
      response.writeHead(502, { 'Access-Control-Allow-Origin': request.headers.origin ?? '*' }).end();
      return;
    }
    const options = { host: to.hostname, port: to.port, method: request.method, path: request.url, headers: request.rawHeaders, agent };
    const asked = http.request(options, (answer) => {
      seen.status = answer.statusCode;
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.on('data', (part) => {
        seen.bytes += part.length;
        if (cuts.times > 0 && seen.bytes >= cuts.after && isMedia(seen)) {
          cuts.times -= 1;
          response.socket.destroy();
          return;
        }
        answer.pause();
        const pace = new Promise((resolve) => { setTimeout(resolve, (part.length / RATE) * 1000); });
        response.write(part, () => pace.then(() => answer.resume()));
      });
      answer.on('end', () => response.end());
      answer.on('error', () => response.socket?.destroy());
    });
    asked.on('error', () => response.socket?.destroy());
    response.on('close', () => {
      seen.isOver = true;
      asked.destroy();
    });
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
    take: () => {
      const since = answers.map((seen) => ({ ...seen, bytes: seen.bytes - seen.taken }));
      for (const seen of answers) seen.taken = seen.bytes;
      answers = answers.filter(({ isOver }) => !isOver);
      return since;
    },
    cut: (after, times = 1) => { cuts = { after, times }; },
    refuse: (times) => { refusals = times; },
  };
}

/** The bytes of media among what was answered. */
export function mediaBytes(answers) {
  return answers.filter(isMedia).reduce((sum, { bytes }) => sum + bytes, 0);
}

function isMedia({ path }) {
  return /\/media(\?|$)/.test(path);
}
