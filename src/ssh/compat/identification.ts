import type { Protocol } from './protocol.ts';

/** As OpenSSH bounds it (ssh_packet_set..., SSH_MAX_PRE_BANNER_LINES and SSH_MAX_BANNER_LEN). */
const MOST_LINES = 1_024;
const MOST_LINE_BYTES = 8_192;
/** What a server may say before its identification, in all: more than any greeting, and soon read. */
const MOST_BYTES = 64 * 1024;

/**
 * Hands ssh2 the server's identification whole. Version 1.17.0 forgets the second piece of a line that comes in three, so
 * that a path which cuts small fails each connection; and it begins to count lines anew with each piece.
 */
export function gatherIdentification(protocol: Protocol): void {
  const parse = protocol.parse.bind(protocol);
  let held = Buffer.alloc(0);
  protocol.parse = (chunk, start, end) => {
    held = Buffer.concat([held, chunk.subarray(start, end)]);
    if (isWhole(held)) {
      Reflect.deleteProperty(protocol, 'parse'); // from here on it is ssh2's own again
      parse(held, 0, held.length);
    } else if (held.length > MOST_BYTES) throw new Error('The server says too much before it identifies itself');
  };
}

/** Whether the line that begins with `SSH-` has ended (RFC 4253 section 4.2). @throws where lines are too many or too long */
function isWhole(bytes: Buffer): boolean {
  let start = 0;
  for (let line = 0; line <= MOST_LINES; line += 1) {
    const end = bytes.indexOf(0x0a, start);
    if ((end < 0 ? bytes.length : end) - start > MOST_LINE_BYTES)
      throw new Error('The server sends a line without end');
    if (end < 0) return false;
    if (bytes.toString('latin1', start, start + 4) === 'SSH-') return true;
    start = end + 1;
  }
  throw new Error('The server says too much before it identifies itself');
}
