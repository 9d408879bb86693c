/**
 * Source and sink in a process of their own, so that the load does not share the event loop of what it measures.
 * The client's first line says what it wants: `down N` sends N bytes, `up N` takes N bytes and answers with one, `echo` echoes.
 * Prints its port as the first line.
 */
import { createServer, type Socket } from 'node:net';

const CHUNK = Buffer.alloc(1024 * 1024, 0x5a);

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy()); // a client that is cut off ends its own round
  socket.once('data', (first: Buffer) => {
    const lineEnd = first.indexOf(10);
    const [wish, size] = first.subarray(0, lineEnd).toString().split(' ');
    const rest = first.subarray(lineEnd + 1);
    if (wish === 'down') return send(socket, Number(size));
    if (wish === 'up') return take(socket, Number(size) - rest.length);
    socket.write(rest);
    socket.on('data', (chunk) => socket.write(chunk));
  });
});

function send(socket: Socket, left: number): void {
  while (left > 0) {
    const size = Math.min(left, CHUNK.length);
    left -= size;
    if (!socket.write(CHUNK.subarray(0, size))) {
      socket.once('drain', () => send(socket, left));
      return;
    }
  }
  socket.end();
}

function take(socket: Socket, left: number): void {
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left <= 0) socket.end('k');
  });
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
