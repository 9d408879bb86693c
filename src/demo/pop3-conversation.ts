import { connect } from 'node:net';
import { TunnelError, asTunnelError } from '../model/failure.ts';

/** One line of a POP3 conversation, as it went over the wire, without its line end. */
export type Heard = (who: 'client' | 'server', line: string) => void;

/** What a multi-line reply may follow (RFC 1939 section 3). */
const MULTI_LINE = /^(?:LIST|RETR \d+)$/;

/** A dead tunnel must not hang the demo: its hold time, and some. */
const SILENCE_MS = 20_000;

/**
 * Talks to the POP3 server at localhost:`port` as a simple mail client does, a command at a time, and reports each line.
 * Resolves when the server has hung up after QUIT; rejects when it hangs up sooner or says nothing for 20 s.
 */
export async function talkPop3(
  port: number,
  commands: readonly string[],
  heard: Heard,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const socket = connect({ host: 'localhost', port, signal });
  socket.setEncoding('utf8').setTimeout(SILENCE_MS, () => {
    socket.destroy(unfinished(`the server said nothing for ${SILENCE_MS / 1000} s`));
  });
  const lines = splitLines(socket);
  try {
    await readReply(lines, false, heard);
    for (const command of commands) {
      heard('client', command);
      socket.write(`${command}\r\n`);
      await readReply(lines, MULTI_LINE.test(command), heard);
    }
    while (!(await lines.next()).done); // its EOF
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asTunnelError(thrown);
    throw error.code === 'INTERNAL' ? unfinished(error.message, thrown) : error;
  } finally {
    socket.destroy();
  }
}

async function readReply(lines: AsyncIterator<string, void>, multiLine: boolean, heard: Heard): Promise<void> {
  for (;;) {
    const { done, value: line } = await lines.next();
    if (done === true || line === undefined) throw unfinished('the server hung up early');
    heard('server', line);
    if (!multiLine || line === '.' || line.startsWith('-ERR')) return;
  }
}

async function* splitLines(chunks: AsyncIterable<string>): AsyncGenerator<string, void> {
  let pending = '';
  for await (const chunk of chunks) {
    const [last = '', ...complete] = (pending + chunk).split('\r\n').reverse();
    pending = last;
    yield* complete.reverse();
  }
}

function unfinished(why: string, cause?: unknown): TunnelError {
  return new TunnelError('CONNECTION_LOST', `Cannot finish the POP3 conversation: ${why}`, { cause });
}
