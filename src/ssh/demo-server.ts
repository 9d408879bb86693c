import { timingSafeEqual } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel } from 'ssh2';
import { makeKeyPair } from './keys/key-pair.ts';

export interface DemoServerOptions {
  /** Where a `direct-tcpip` target really leads: a port of 127.0.0.1. Undefined refuses the target. */
  readonly connectTo: (host: string, port: number) => number | undefined;
  /** The one public key that may log in, as a line of authorized_keys; without it a fresh pair is made. */
  readonly publicKey?: string;
  /** Logs in too where it is given. */
  readonly password?: string;
}

/** A small SSH server in this process, on a free loopback port: for the demonstration and for tests. No shell, no files. */
export interface DemoServer {
  readonly port: number;
  readonly user: string;
  /** The private key that logs in, in OpenSSH's format; '' where the caller has its own. */
  readonly identity: string;
  /** The line of known_hosts that knows this server. */
  readonly knownHostsLine: string;
  /** Ends every connection without a word, as a dead network does; new ones are welcome. */
  cutAll(): void;
  /** Cuts all, and listens no more. Safe to call twice. */
  close(): Promise<void>;
}

const USER = 'demo';

/** The caller closes it. */
export async function startDemoServer(options: DemoServerOptions): Promise<DemoServer> {
  const host = makeKeyPair('demo host');
  const own = options.publicKey === undefined ? makeKeyPair('demo') : undefined;
  const allowed = parsedKey(options.publicKey ?? own?.public ?? '');
  const ssh = new ssh2.Server({ hostKeys: [host.private], ident: 'tunnel-demo' });
  ssh.on('connection', (connection) => serve(connection, options, allowed));

  const sockets = new Set<Socket>();
  // A listener of our own, since ssh2's leaves Nagle's algorithm on: 44 ms for each new channel.
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    ssh.injectSocket(socket);
  });
  const port = await listening(listener);
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  let closed: Promise<void> | undefined;
  return {
    port,
    user: USER,
    identity: own?.private ?? '',
    knownHostsLine: `[127.0.0.1]:${port} ${host.public.split(' ').slice(0, 2).join(' ')}`,
    cutAll,
    close: () => {
      cutAll();
      return (closed ??= new Promise((resolve) => listener.close(() => resolve())));
    },
  };
}

function serve(connection: Connection, options: DemoServerOptions, allowed: ParsedKey): void {
  connection.on('error', () => undefined); // a client that was cut, or speaks no SSH, is none of our worries
  connection.on('authentication', (attempt) => {
    if (mayEnter(attempt, options.password, allowed)) attempt.accept();
    else attempt.reject(options.password === undefined ? ['publickey'] : ['publickey', 'password']);
  });
  connection.on('tcpip', (accept, reject, { destIP, destPort }) => {
    const port = options.connectTo(destIP, destPort);
    if (port === undefined) reject();
    else join(port, accept, reject);
  });
  connection.on('request', (_accept, reject) => reject?.()); // it forwards nothing the other way
}

function mayEnter(attempt: AuthContext, password: string | undefined, allowed: ParsedKey): boolean {
  if (attempt.username !== USER) return false;
  if (attempt.method === 'password') return password !== undefined && sameText(attempt.password, password);
  if (attempt.method !== 'publickey' || !attempt.key.data.equals(allowed.getPublicSSH())) return false;
  if (attempt.signature === undefined || attempt.blob === undefined) return true; // it only asks whether the key would do
  return allowed.verify(attempt.blob, attempt.signature, attempt.hashAlgo);
}

function sameText(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Accepts the channel once the target has; half-closes travel both ways. */
function join(port: number, accept: () => ServerChannel, reject: () => void): void {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  socket.once('error', reject);
  socket.once('connect', () => {
    socket.removeListener('error', reject);
    const channel = accept();
    const cut = (): void => {
      socket.destroy();
      channel.close();
    };
    socket.on('error', cut);
    channel.on('error', cut);
    channel.on('close', () => socket.destroy());
    channel.pipe(socket).pipe(channel);
  });
}

function listening(listener: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address();
      if (address === null || typeof address === 'string') reject(new Error('The listener has no port'));
      else resolve(address.port);
    });
  });
}

function parsedKey(text: string): ParsedKey {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error) throw key;
  return key;
}
