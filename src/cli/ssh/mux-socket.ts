import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { TunnelError, asTunnelError } from '../../model/failure.ts';
import type { ForwardSpec } from '../../model/forward-spec.ts';
import type { ControlCommand } from './command-line.ts';
import { MUX_VERSION, decodeMux, encodeMux, type MuxMessage } from './mux-codec.ts';

/** What a master does when it is asked. */
export interface MuxMaster {
  /** @returns the port that the server chose, where it chose one. Rejects where it cannot be done. */
  forward(spec: ForwardSpec): Promise<number | undefined>;
  cancel(spec: ForwardSpec): Promise<void>;
  exit(): void;
}

/** Words that ssh prints where there is a master already. */
export const ALREADY_THERE = 'already exists, disabling multiplexing';

/**
 * Listens at the path of ControlPath, for its owner alone, in the protocol of ssh itself: `ssh -O` may ask as well.
 * Rejects with FILE where the path cannot be bound; a socket that nobody answers at is replaced.
 */
export async function serveMux(path: string, master: MuxMaster): Promise<Server> {
  if (await answersAt(path)) throw new TunnelError('FILE', `ControlSocket ${path} ${ALREADY_THERE}`);
  await rm(path, { force: true });
  const server = createServer((socket) => void serveOne(socket, master, () => server.close()));
  const mask = process.umask(0o177);
  try {
    server.listen(path);
    await once(server, 'listening');
  } catch (error) {
    throw new TunnelError('FILE', `Cannot bind to path ${path}: ${reasonOf(error)}`, { cause: error });
  } finally {
    process.umask(mask);
  }
  return server;
}

/** Asks the master at the path. @returns its answer. Rejects with FILE in ssh's words where nobody is there */
export async function askMux(path: string, requests: readonly MuxRequest[]): Promise<readonly MuxMessage[]> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw new TunnelError('FILE', `Control socket connect(${path}): ${reasonOf(error)}`, { cause: error });
  }
  const answers = messagesOf(socket);
  try {
    socket.write(encodeMux({ kind: 'hello', version: MUX_VERSION }));
    await answers.next();
    const received: MuxMessage[] = [];
    for (const [id, request] of requests.entries()) {
      socket.write(encodeMux({ ...request, id }));
      const { value, done } = await answers.next();
      if (done !== true) received.push(value);
      // A master of ssh itself may be gone before it has answered that it goes.
      else if (request.kind === 'exit') received.push({ kind: 'ok', id });
      else throw new TunnelError('FILE', `Cannot ask the master at ${path}: it closed the connection`);
    }
    return received;
  } finally {
    socket.destroy();
  }
}

export type MuxRequest =
  | { readonly kind: Exclude<ControlCommand, 'forward' | 'cancel'> }
  | { readonly kind: 'forward' | 'cancel'; readonly spec: ForwardSpec };

async function serveOne(socket: Socket, master: MuxMaster, stop: () => void): Promise<void> {
  socket.on('error', () => undefined); // whoever asked has gone
  socket.write(encodeMux({ kind: 'hello', version: MUX_VERSION }));
  try {
    for await (const message of messagesOf(socket)) {
      const answer = await answerTo(message, master, stop);
      if (answer === undefined) continue;
      socket.write(encodeMux(answer), () => {
        if (message.kind === 'exit') master.exit();
      });
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    socket.destroy(); // no message of this protocol
  }
}

type Answer = Parameters<typeof encodeMux>[0];

async function answerTo(message: MuxMessage, master: MuxMaster, stop: () => void): Promise<Answer | undefined> {
  switch (message.kind) {
    case 'hello':
      return undefined;
    case 'check':
      return { kind: 'alive', id: message.id, pid: process.pid };
    case 'exit':
      return { kind: 'ok', id: message.id };
    case 'stop':
      stop();
      return { kind: 'ok', id: message.id };
    case 'forward':
    case 'cancel':
      return changed(message, master);
    default:
      return { kind: 'denied', id: message.id, reason: 'tunnel ssh forwards ports only' };
  }
}

async function changed(
  { kind, id, spec }: Extract<MuxMessage, { readonly spec: ForwardSpec }>,
  master: MuxMaster,
): Promise<Answer> {
  try {
    const port = kind === 'forward' ? await master.forward(spec) : await master.cancel(spec);
    return port === undefined ? { kind: 'ok', id } : { kind: 'remote-port', id, port };
  } catch (error) {
    return { kind: 'failure', id, reason: asTunnelError(error).message };
  }
}

async function* messagesOf(socket: Socket): AsyncGenerator<MuxMessage, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const decoded = decodeMux(Buffer.concat([rest, chunk]));
    rest = decoded.rest;
    yield* decoded.messages;
  }
  return undefined;
}

function answersAt(path: string): Promise<boolean> {
  return askMux(path, [{ kind: 'check' }]).then(
    () => true,
    () => false, // nobody, or nobody that speaks this
  );
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  ECONNREFUSED: 'Connection refused',
  EACCES: 'Permission denied',
  ENOTSOCK: 'Socket operation on non-socket',
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return REASONS[code] ?? code;
}
