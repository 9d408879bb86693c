import { chmod } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import { ControlConnection, type ConnectionOptions } from './connection.ts';

export interface ServeControlOptions extends Partial<ConnectionOptions> {
  /** A unix socket's path in a folder that is private to us, or a pipe's name on Windows. Nothing may stand there. */
  readonly socket: string;
  /** Makes the socket's folder, 0700 and ours, or rejects. Not called for a pipe. */
  readonly prepareFolder: (folder: string) => Promise<void>;
  readonly identity: ConnectionOptions['identity'];
  readonly handlers: ConnectionOptions['handlers'];
  readonly onFault: ConnectionOptions['onFault'];
}

/** The supervisor's ear. Owned by whoever called `serveControl`. */
export interface ControlServer {
  readonly socket: string;
  /** Clients that are connected now. */
  readonly connectionCount: number;
  /** Takes no new connections and removes the socket; those that are open go on. Safe to call twice. */
  stopListening(): void;
  /** As that, and ends the open ones once what is queued for them is out. Safe to call twice. */
  close(): Promise<void>;
}

/** Everything we queue for one client: eight of the largest messages. A reader this far behind does not read. */
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
const HELLO_WITHIN_MS = 10_000;
/** Terminals, scripts and watchers of one person at once: beyond this something runs in a loop. */
const MAX_CONNECTIONS = 256;

/**
 * Listens for clients and serves them until closed.
 * @throws TunnelError SUPERVISOR_RUNNING when something stands at the socket's path, FILE when it cannot listen there
 */
export async function serveControl(options: ServeControlOptions): Promise<ControlServer> {
  const settings: ConnectionOptions = { maxQueuedBytes: MAX_QUEUED_BYTES, helloWithinMs: HELLO_WITHIN_MS, ...options };
  const open = new Set<ControlConnection>();
  const server = createServer((socket) => {
    const connection = new ControlConnection(socket, settings);
    open.add(connection);
    connection.signal.addEventListener('abort', () => open.delete(connection));
  });
  server.maxConnections = MAX_CONNECTIONS;
  await openDoor(server, options);
  server.on('error', (error) => settings.onFault(asTunnelError(error))); // one that could not be accepted, as by EMFILE
  return {
    socket: options.socket,
    get connectionCount() {
      return open.size;
    },
    stopListening: () => void server.close(),
    close: async () => {
      server.close();
      for (const connection of open) connection.close();
      await Promise.all([...open].map((connection) => connection.closed));
    },
  };
}

async function openDoor(server: Server, { socket, prepareFolder }: ServeControlOptions): Promise<void> {
  if (socket.startsWith('\\\\')) return listen(server, socket);
  await prepareFolder(dirname(socket));
  await listen(server, socket);
  try {
    await chmod(socket, 0o600); // the folder kept everybody out before this line, too
  } catch (error) {
    server.close();
    throw listenFailure(socket, error as NodeJS.ErrnoException);
  }
}

function listen(server: Server, socket: string): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(listenFailure(socket, error));
    server.once('error', failed);
    server.listen({ path: socket }, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

function listenFailure(socket: string, error: NodeJS.ErrnoException): TunnelError {
  const taken = error.code === 'EADDRINUSE';
  const why = taken ? 'something stands there already' : (error.code ?? error.message);
  return new TunnelError(taken ? 'SUPERVISOR_RUNNING' : 'FILE', `Cannot listen on ${socket}: ${why}`, { cause: error });
}
