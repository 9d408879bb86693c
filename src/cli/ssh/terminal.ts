import { openSync } from 'node:fs';
import { ReadStream, WriteStream } from 'node:tty';
import type { Ask } from '../../link/ask.ts';
import { TunnelError } from '../../model/failure.ts';
import { Secret } from '../../model/secret.ts';
import { putQuestion } from '../relay.ts';
import type { Terminal } from '../prompts.ts';

export interface AskRules {
  /** BatchMode: nobody is asked. */
  readonly batch: boolean;
  /** StrictHostKeyChecking yes: an unknown host key is no question. */
  readonly strictHostKeys: boolean;
  /** Words above the question. */
  readonly say: (line: string) => void;
}

/**
 * Asks on the terminal of this process, which need not be stdin: that may be the data of -W. As ssh, it opens /dev/tty,
 * for the time of one question. Rejects with NEEDS_PERSON where there is no terminal.
 */
export function askOnTerminal({ batch, strictHostKeys, say }: AskRules): Ask {
  return async (question, signal) => {
    const refused = batch || (strictHostKeys && question.kind === 'host-key');
    const terminal = refused ? undefined : openTerminal();
    if (terminal === undefined) {
      throw new TunnelError('NEEDS_PERSON', `Cannot log in to ${question.subject}: nobody can be asked here`);
    }
    try {
      return new Secret(await putQuestion(question, signal, { warn: say }, terminal));
    } finally {
      terminal.input.destroy();
      terminal.output.destroy();
    }
  };
}

interface OpenTerminal extends Terminal {
  readonly input: ReadStream;
  readonly output: WriteStream;
}

function openTerminal(): OpenTerminal | undefined {
  try {
    const device = process.platform === 'win32' ? ['\\\\.\\CONIN$', '\\\\.\\CONOUT$'] : ['/dev/tty', '/dev/tty'];
    return {
      input: new ReadStream(openSync(device[0] ?? '', 'r+')),
      output: new WriteStream(openSync(device[1] ?? '', 'r+')),
    };
  } catch {
    return undefined; // this process has no terminal
  }
}
