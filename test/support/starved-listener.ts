/**
 * A program that listens and runs out of file descriptors on purpose (start it under a low `ulimit -n`). Prints its port;
 * at the first byte on stdin it gives the descriptors back and prints `fed`.
 */
import { closeSync, openSync } from 'node:fs';
import { listen } from '../../src/forward/listen/listener.ts';

const hoard: number[] = [];
const listener = await listen({
  bind: { kind: 'tcp', host: '127.0.0.1', port: 0 },
  nameHolder: false,
  onSocket: (socket) => void socket.on('error', () => undefined).pipe(socket),
  onAcceptError: console.error, // libuv (1.46 and later) sheds the client and tells nobody
  onNote: console.log,
});
process.stdin.once('data', () => {
  for (const file of hoard) closeSync(file);
  console.log('fed');
});
process.stdin.once('end', () => process.exit()); // whoever started us is gone
try {
  for (;;) hoard.push(openSync('/dev/null', 'r'));
} catch (error) {
  if (!(error instanceof Error && 'code' in error && error.code === 'EMFILE')) throw error;
}
console.log(listener.bound.kind === 'tcp' ? listener.bound.port : '');
