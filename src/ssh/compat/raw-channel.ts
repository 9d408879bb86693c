import { Readable, type Duplex } from 'node:stream';
import { endOnce } from './channel-end.ts';
import { boundQueues } from './channel-memory.ts';

/** An ssh2 channel as it comes: a stream whose `close` sends SSH_MSG_CHANNEL_CLOSE. */
export interface Ssh2Channel extends Duplex {
  readonly stderr?: object;
  close(): void;
}

/** What a Channel is made over: a light channel, or a stream of ssh2's that was put right. */
export interface RawChannel {
  readonly readableLength: number;
  /** What waits for the peer's window. */
  readonly writableLength: number;
  /** Called by ssh2 for what has come; null for EOF. */
  push(chunk: Buffer | null): boolean;
  /** @param sent called when nothing waits any more, where something had to wait */
  write(chunk: Buffer, sent: () => void): boolean;
  /** EOF, once all is sent. */
  end(): void;
  close(): void;
  pause(): void;
  resume(): void;
  /** Called when the channel has closed and all that came was read, or with why it failed. */
  onClosed(closed: (error?: Error) => void): void;
  /** Hands over what has come, later than this call, and what comes from now on, unless it is paused. */
  flow(data: (chunk: Buffer) => void, end: () => void): void;
}

/** Bytes that a channel queues on top of the SSH window, in each direction. */
export const QUEUE_BYTES = 64 * 1024;

/** Puts a stream of ssh2's right. It goes on being that stream: ssh2 finds it by what it keeps in it. */
export function rawOf(stream: Ssh2Channel): RawChannel {
  boundQueues(stream, QUEUE_BYTES);
  endOnce(stream);
  if (stream.stderr instanceof Readable) stream.stderr.resume(); // a forwarded connection has none; a server that sends it gets it dropped
  stream.on('error', () => undefined); // told by `onClosed`, where somebody asked for it
  return Object.assign(stream, {
    onClosed: (closed: (error?: Error) => void): void => void stream.on('error', closed).on('close', () => closed()),
    flow: (data: (chunk: Buffer) => void, end: () => void): void => void stream.on('end', end).on('data', data),
  });
}
