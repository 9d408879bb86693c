// A listener whose queue fills up: it accepts nothing until a byte comes on stdin, and ends with stdin. Prints its port.
import { readSync } from 'node:fs';
import { createServer } from 'node:net';

const server = createServer((socket) => socket.end('late\r\n'));
server.listen({ host: process.argv[2], port: 0, backlog: 1 }, () => {
  process.stdout.write(`${server.address().port}\n`, () => {
    readSync(0, Buffer.alloc(1)); // nothing else runs here meanwhile
    process.stdin.on('end', () => process.exit()).resume();
  });
});
