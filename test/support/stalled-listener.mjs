// A listener whose queue fills up: it accepts nothing for the first argument's milliseconds. Prints its port.
import { createServer } from 'node:net';

const server = createServer((socket) => socket.end('late\r\n'));
server.listen({ host: process.argv[3], port: 0, backlog: 1 }, () => {
  process.stdout.write(`${server.address().port}\n`, () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.argv[2]));
  });
});
process.stdin.on('end', () => process.exit()).resume();
