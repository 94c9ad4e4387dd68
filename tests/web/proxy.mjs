// A proxy in front of the real server, of the kind that learners sit behind: it may know nothing of
// WebSockets, and it may go away.
import http from 'node:http';
import net from 'node:net';

/** @param {string} target @param {import('node:http').IncomingMessage} request */
const sameRequest = (target, { method, url, headers }) => {
  const { hostname, port } = new URL(target);
  return { hostname, port, method, path: url, headers };
};

/**
 * Passes everything on to `target`, a WebSocket only with `upgrades`.
 * @param {string} target
 * @param {{upgrades: boolean, port?: number}} options
 */
export async function startProxy(target, { upgrades, port = 0 }) {
  const tunnels = new Set();
  const server = http.createServer((request, response) => {
    const onward = http.request(sameRequest(target, request), (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('upgrade', (request, socket) => {
    if (!upgrades) return socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    const { hostname, port: targetPort } = new URL(target);
    const onward = net.connect(Number(targetPort), hostname);
    const fields = request.rawHeaders.map((text, i) => (i % 2 ? `${text}\r\n` : `${text}: `)).join('');
    onward.write(`GET ${request.url} HTTP/1.1\r\n${fields}\r\n`);
    for (const [from, to] of [[socket, onward], [onward, socket]]) {
      tunnels.add(from);
      from.on('error', () => to.destroy()).on('close', () => to.destroy()).pipe(to);
    }
    return undefined;
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    /** As if it were killed. */
    close: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
        for (const socket of tunnels) socket.destroy();
      }),
  };
}
