import { createServer, type AddressInfo, type Socket } from 'node:net';
import ssh2, { type AuthContext, type Connection, type ServerConfig } from 'ssh2';
import { makeKeyPair } from '../../src/ssh/keys/key-pair.ts';

/** An SSH server in this process that does what a test tells it to. */
export interface ScriptedServer {
  readonly port: number;
  /** Lines for a known_hosts file. */
  readonly knownHosts: string;
  /** Every login attempt but the first `none`, as `method` or `method:detail`. */
  readonly attempts: string[];
  readonly connections: Connection[];
  readonly sockets: Set<Socket>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Script extends Omit<ServerConfig, 'hostKeys'> {
  /** Decides about an attempt. Default: lets everybody in. */
  readonly authenticate?: (attempt: AuthContext, server: ScriptedServer) => void;
  readonly onConnection?: (connection: Connection) => void;
  readonly hostKey?: { readonly private: string; readonly public: string };
}

export async function startScriptedServer(script: Script = {}): Promise<ScriptedServer> {
  const { authenticate, onConnection, hostKey = makeKeyPair('test'), ...config } = script;
  const attempts: string[] = [];
  const connections: Connection[] = [];
  const sockets = new Set<Socket>();
  const ssh = new ssh2.Server({ ...config, hostKeys: [hostKey.private] });
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    ssh.injectSocket(socket);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  const server: ScriptedServer = {
    port,
    knownHosts: `[127.0.0.1]:${port} ${hostKey.public}\n`,
    attempts,
    connections,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  ssh.on('connection', (connection) => {
    connections.push(connection);
    connection.on('error', () => undefined);
    connection.on('authentication', (attempt) => {
      if (attempt.method !== 'none') attempts.push(attempt.method);
      if (authenticate === undefined) attempt.accept();
      else authenticate(attempt, server);
    });
    onConnection?.(connection);
  });
  return server;
}
