/**
 * Uploads over `streams` connections until it is stopped, in a process of its own, so that who measures beside it shares no
 * event loop with it. Arguments: port, streams. Prints a line once every stream has sent its first megabytes.
 */
import { connect } from 'node:net';

const CHUNK = Buffer.alloc(1024 * 1024, 0x5a);
const FIRST_BYTES = 4 * CHUNK.length;

const [port, streams] = process.argv.slice(2).map(Number);

function upload(): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    const socket = connect({ port: port ?? 0, host: '127.0.0.1', noDelay: true });
    const pump = (): void => {
      let more = true;
      while (more) {
        more = socket.write(CHUNK);
        sent += CHUNK.length;
      }
      if (sent >= FIRST_BYTES) resolve();
    };
    socket.on('drain', pump);
    socket.on('error', () => process.exit(1));
    socket.once('connect', () => {
      socket.write(`up ${Number.MAX_SAFE_INTEGER}\n`);
      pump();
    });
  });
}

await Promise.all(Array.from({ length: streams ?? 1 }, upload));
process.stdout.write('under way\n');
