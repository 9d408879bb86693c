import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Forward } from '../../src/forward/forward-context.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { HopPlan } from '../../src/model/plan.ts';
import type { Levers } from '../../src/ssh/data-path.ts';
import { createDial } from '../../src/ssh/dial.ts';
import type { SshTransport } from '../../src/ssh/transport.ts';
import { CuttingPath, type Cut } from '../support/cutting-path.ts';
import { eventually } from '../support/eventually.ts';
import { forwardOver } from '../support/forward-over.ts';
import { aRequest, sshdHop } from '../support/ssh-dial.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { Party, type Visit } from './visit.ts';

/** How the bytes get there. */
export interface Setting {
  readonly cipher: string;
  readonly mac: string;
  readonly hops: number;
  readonly compression: boolean;
  readonly levers: Partial<Levers>;
  /** Our own limit; the server has one too. Null for none. */
  readonly rekeyBytes: number | null;
  /** Where the client's reads are cut, packet after packet, over and over: bytes behind the packet's end, or before it; null for nowhere. */
  readonly cuts: readonly (number | null)[];
}

/** What happens in one run besides the visits. */
export interface Mishap {
  /** The link is cut under all of them once they have read so much. */
  readonly linkLostAfterBytes: number | undefined;
}

/** Of the cipher or MAC, where its packets' lengths can be read on the way. */
const TAG_BYTES = new Map([
  ['aes128-gcm@openssh.com', 16],
  ['aes256-gcm@openssh.com', 16],
  ['hmac-sha2-256-etm@openssh.com', 32],
  ['hmac-sha2-512-etm@openssh.com', 64],
]);
const NUMBER_BYTES = 4;

/** A server that exchanges keys often, targets behind it, and clients of forwards through it. */
export class DataPathStage implements AsyncDisposable {
  /** Carried by all visits so far, both ways. */
  carriedBytes = 0;
  readonly #sshd: TestSshd;
  readonly #dir: string;
  readonly #targets: readonly Server[];
  /** Visits whose client has come and whose target has not, by number. */
  readonly #awaited = new Map<number, (socket: Socket, first: Buffer) => void>();
  readonly #sockets = new Set<Socket>();
  #visits = 0;

  private constructor(sshd: TestSshd, dir: string) {
    this.#sshd = sshd;
    this.#dir = dir;
    this.#targets = [0, 1].map(() =>
      createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#come(socket)),
    );
  }

  static async start(): Promise<DataPathStage> {
    const sshd = await startSshd({ config: ['RekeyLimit 1M', 'LogLevel ERROR'] });
    const stage = new DataPathStage(sshd, await mkdtemp(join(tmpdir(), 'tunnel-data-path-')));
    const [tcp, unix] = stage.#targets;
    tcp?.listen(0, '127.0.0.1');
    unix?.listen(stage.#path('target'));
    await Promise.all(stage.#targets.map((server) => once(server, 'listening')));
    return stage;
  }

  /** Dials, and binds a TCP and a Unix listener. The caller disposes of it first. */
  async connect(setting: Setting): Promise<DataPathRun> {
    const tagBytes = TAG_BYTES.get(setting.cipher) ?? TAG_BYTES.get(setting.mac);
    const path =
      tagBytes === undefined || setting.cuts.length === 0 ? undefined : await CuttingPath.to(this.#sshd.port, tagBytes);
    const hop = sshdHop(this.#sshd, {
      ciphers: [setting.cipher],
      macs: [setting.mac],
      compression: setting.compression,
      rekey: { bytes: setting.rekeyBytes, everyMs: null },
    });
    const hops: HopPlan[] = Array.from({ length: setting.hops }, (_, index) =>
      index === 0 ? { ...hop, port: path?.port ?? hop.port } : hop,
    );
    const dial = createDial({ readSecret: () => Promise.resolve(undefined), levers: setting.levers });
    const transport = await dial(aRequest(hops).request);
    path?.begin(over(setting.cuts), () => transport.receivedBytes);
    const bind = join(this.#dir, `bind-${this.#visits}`);
    const address = this.#targets[0]?.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const tcp = await forwardOver(transport, { kind: 'tcp', host: '127.0.0.1', port });
    const unix = await forwardOver(
      transport,
      { kind: 'unix', path: this.#path('target') },
      { kind: 'unix', path: bind },
    );
    return new DataPathRun(this, {
      transport,
      path,
      forwards: [tcp.forward, unix.forward],
      tcpPort: tcp.port,
      unixPath: bind,
    });
  }

  /** @returns a number that the client sends first, and the target's socket when it has come */
  expect(): { readonly number: number; readonly target: Promise<readonly [Socket, Buffer]> } {
    const number = (this.#visits += 1);
    return { number, target: new Promise((resolve) => this.#awaited.set(number, (...come) => resolve(come))) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy(); // of a run that was interrupted
    await Promise.all(this.#targets.map((server) => new Promise((resolve) => server.close(resolve))));
    await this.#sshd.stop();
    await rm(this.#dir, { recursive: true });
  }

  #path(name: string): string {
    return join(this.#dir, name);
  }

  #come(socket: Socket): void {
    let first = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk]);
      if (first.length < NUMBER_BYTES) return;
      socket.removeListener('data', read);
      this.#awaited.get(first.readUInt32BE(0))?.(socket, first.subarray(NUMBER_BYTES));
      this.#awaited.delete(first.readUInt32BE(0));
    };
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', read);
  }
}

interface RunParts {
  readonly transport: SshTransport;
  readonly path: CuttingPath | undefined;
  readonly forwards: readonly Forward[];
  readonly tcpPort: number;
  readonly unixPath: string;
}

/** One connection with its forwards. */
export class DataPathRun implements AsyncDisposable {
  readonly #stage: DataPathStage;
  readonly #parts: RunParts;
  #lost = false;

  constructor(stage: DataPathStage, parts: RunParts) {
    this.#stage = stage;
    this.#parts = parts;
  }

  /** The link is gone: nothing can be played any more. */
  get lost(): boolean {
    return this.#lost;
  }

  /** @throws where a byte was wrong, or one is missing of a visit that nobody cut, or something of a visit is left */
  async play(visits: readonly Visit[], { linkLostAfterBytes = Infinity }: Partial<Mishap> = {}): Promise<void> {
    const parties = new Set<Party>();
    const read = (): number => [...parties].reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
    const watch = (): void => {
      if (this.#lost || read() < linkLostAfterBytes) return;
      this.#lost = true;
      this.#parts.transport.destroy(new TunnelError('CONNECTION_LOST', 'The run cuts the link'));
    };
    const stands = (): string => `It stands: ${[...parties].map(told).join('; ')}`;
    const done = await within(Promise.allSettled(visits.map((visit) => this.#visit(visit, parties, watch))), stands);
    this.#stage.carriedBytes += read();
    for (const one of done) if (one.status === 'rejected') throw one.reason;
    const left = (): number => this.#parts.forwards.reduce((sum, { facts }) => sum + facts.openConnections, 0);
    await eventually(() => left() === 0, { what: 'every connection to be gone' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#parts.forwards.map((forward) => forward.close(0)));
    this.#parts.transport.destroy(new TunnelError('STOPPED', 'The run is over'));
    await this.#parts.path?.[Symbol.asyncDispose]();
  }

  async #visit(visit: Visit, parties: Set<Party>, watch: () => void): Promise<void> {
    const { number, target } = this.#stage.expect();
    const { tcpPort, unixPath } = this.#parts;
    const socket = connect(
      visit.unix
        ? { path: unixPath, allowHalfOpen: true }
        : { port: tcpPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true },
    );
    const gone = new Promise<'gone'>((resolve) => socket.once('close', () => resolve('gone')));
    const [up, down] = [2 * number, 2 * number + 1];
    const client = new Party(socket, visit.client, { sends: up, expects: down }, cutOf(visit, 'client'), watch);
    parties.add(client);
    const name = Buffer.alloc(NUMBER_BYTES);
    name.writeUInt32BE(number);
    socket.write(name);
    const running = client.run(undefined);
    const come = await Promise.race([target, gone]);
    if (come === 'gone') {
      void target.then(([late]) => late.destroy());
      return running;
    }
    const [far, first] = come;
    const server = new Party(far, visit.target, { sends: down, expects: up }, cutOf(visit, 'target'), watch);
    parties.add(server);
    await Promise.all([running, server.run(first)]);
    if (this.#lost || client.hasCut || server.hasCut) return;
    for (const [hearer, speaker] of [
      [client, server],
      [server, client],
    ] as const)
      if (!hearer.heardEnd || hearer.receivedBytes !== speaker.sentBytes)
        throw new Error(
          `Visit ${number}: ${hearer.receivedBytes} bytes came of ${speaker.sentBytes}, end ${hearer.heardEnd}`,
        );
  }
}

const STUCK_MS = 60_000;

function within<T>(work: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(what())), STUCK_MS)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function told({ sentBytes, receivedBytes, heardEnd }: Party): string {
  return `sent ${sentBytes}, read ${receivedBytes}${heardEnd ? ' and the end' : ''}`;
}

function cutOf({ cut }: Visit, side: 'client' | 'target'): number {
  return cut?.by === side ? cut.afterBytes : Infinity;
}

/** @returns the cuts one after the other, from the beginning again at their end */
function over(cuts: readonly (number | null)[]): Cut {
  let next = 0;
  return (packetEndsAt) => {
    const offset = cuts[next % cuts.length] ?? null;
    next += 1;
    return offset === null ? undefined : packetEndsAt + offset;
  };
}
