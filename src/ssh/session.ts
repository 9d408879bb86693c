import { Readable } from 'node:stream';
import type { Client } from 'ssh2';
import type { SessionOutcome, SessionRequest } from '../link/transport.ts';
import { TunnelError } from '../model/failure.ts';
import type { Ssh2Channel } from './compat/raw-channel.ts';

/** One question to the server, within a deadline and the life of the connection. @param undo for an answer that comes too late */
export type AskServer = <T>(
  late: () => TunnelError,
  send: (done: (error: Error | undefined, answer: T) => void) => void,
  undo: (answer: T) => void,
) => Promise<T>;

/** The connection that a session is a part of. */
export interface SessionHost {
  readonly client: Client;
  /** Of the server, for messages. */
  readonly name: string;
  readonly ask: AskServer;
  readonly ping: () => Promise<number>;
}

/** What is kept of each stream: a greeting is shorter, and nobody fills our memory. */
const MOST_BYTES = 64 * 1024;

/** As `SessionTransport.runSession` says. */
export async function runSession(request: SessionRequest, host: SessionHost): Promise<SessionOutcome> {
  const { client, name, ask } = host;
  const late = (what: string) => () => new TunnelError('TIMED_OUT', `Cannot use a session at ${name}: ${what}`);
  const stream = await ask<Ssh2Channel | undefined>(
    late('the server did not answer'),
    (done) => start(client, request, (error, opened) => done(undefined, error === undefined ? opened : undefined)),
    (opened) => opened?.close(),
  );
  const outcome = stream === undefined ? REFUSED : await outcomeOf(stream, request, ask, late('it did not end'));
  // Sessions that a lost connection takes along look refused, or ended: an answer to a ping tells the difference.
  await ask<undefined>(
    late('the server did not answer'),
    (done) =>
      void host.ping().then(
        () => done(undefined, undefined),
        (error: Error) => done(error, undefined),
      ),
    ignore,
  );
  return outcome;
}

const REFUSED: SessionOutcome = { granted: false, output: Buffer.alloc(0), errors: Buffer.alloc(0), status: null };

async function outcomeOf(
  stream: Ssh2Channel,
  request: SessionRequest,
  ask: AskServer,
  late: () => TunnelError,
): Promise<SessionOutcome> {
  try {
    return await ask<SessionOutcome>(late, (done) => follow(stream, request, done), ignore);
  } finally {
    stream.close();
  }
}

type Started = (error: Error | undefined, stream: Ssh2Channel) => void;

function start(client: Client, request: SessionRequest, done: Started): void {
  switch (request.kind) {
    case 'command':
      client.exec(request.command, done);
      break;
    case 'shell':
      client.shell(false, done);
      break;
    case 'subsystem':
      client.subsys(request.name, done);
      break;
    case 'terminal':
      client.exec('true', { pty: true }, done);
      break;
  }
}

function follow(
  stream: Ssh2Channel,
  request: SessionRequest,
  done: (error: undefined, outcome: SessionOutcome) => void,
): void {
  const output = collect(stream);
  const errors = collect(stream.stderr instanceof Readable ? stream.stderr : undefined);
  let status: number | null = null;
  stream.on('exit', (code: number | null) => (status = code));
  stream.on('error', () => undefined); // 'close' follows, and tells what there is
  stream.on('close', () => done(undefined, { granted: true, output: output(), errors: errors(), status }));
  if (request.kind !== 'subsystem') return void stream.end('input' in request ? request.input : undefined);
  stream.write(request.input);
  stream.once('data', () => stream.end()); // sftp-server leaves at EOF, and what it had to answer is lost
}

/** Keeps the first bytes, and lets the others go by. */
function collect(stream: Readable | undefined): () => Buffer {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, MOST_BYTES - bytes);
    bytes += kept.length;
    if (kept.length > 0) chunks.push(kept);
  });
  return () => Buffer.concat(chunks);
}

function ignore(): void {
  return undefined;
}
