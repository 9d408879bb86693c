import type { Readable, Writable } from 'node:stream';
import type { Channel } from '../../link/transport.ts';
import type { TunnelError } from '../../model/failure.ts';

/** Where -W reads and writes. `closed` is called once all is written: process.stdout does not close its descriptor by itself. */
export interface StdioEnds {
  readonly input: Readable;
  readonly output: Writable;
  readonly closed: () => void;
}

/**
 * -W: a channel between stdin and stdout. The end of one direction leaves the other open; a reader that goes away ends
 * both. Resolves when the channel has closed and what it brought is written: undefined where it was in order.
 */
export function pipeStdio(channel: Channel, { input, output, closed }: StdioEnds): Promise<TunnelError | undefined> {
  return new Promise((resolve) => {
    // Told by ourselves: process.stdout forgets that it has ended where it is a file (its dummy destroy begins it anew).
    const end = { begun: false, done: false, then: (): void => undefined };
    const endOutput = (): void => {
      if (end.begun) return;
      end.begun = true;
      output.end(() => {
        end.done = true;
        closed();
        end.then();
      });
    };
    output.on('drain', () => channel.resume());
    output.on('error', () => channel.abort()); // nobody reads any more
    input.on('error', () => channel.end());
    input.on('end', () => channel.end());
    channel.attach({
      data: (chunk) => {
        if (!output.write(chunk)) channel.pause();
      },
      end: endOutput,
      drain: () => void input.resume(),
      closed: (error) => {
        input.pause();
        if (end.done || output.destroyed) return resolve(error);
        end.then = () => resolve(error);
        output.once('error', () => resolve(error));
        endOutput();
      },
    });
    input.on('data', (chunk: Buffer) => {
      if (!channel.write(chunk)) input.pause();
    });
  });
}
