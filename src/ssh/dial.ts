import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendKnownHost } from '../files/known-hosts-append.ts';
import { readKnownHosts } from '../files/known-hosts.ts';
import type { DialProgress, DialRequest } from '../link/transport.ts';
import { TunnelError } from '../model/failure.ts';
import type { HopPlan, SecretSource } from '../model/plan.ts';
import type { Secret } from '../model/secret.ts';
import type { SecretName } from '../secrets/store.ts';
import { boundQueues } from './compat/channel-memory.ts';
import { QUEUE_BYTES, type Ssh2Channel } from './compat/raw-channel.ts';
import { DataPath, type Levers } from './data-path.ts';
import { Deadline } from './deadline.ts';
import { dialSocket } from './dial-socket.ts';
import { abortFailure, jumpFailure, openFailure } from './failures.ts';
import { hopName, passwordSubject, type HopContext, type UsedCodes } from './hop-context.ts';
import type { Unsafe } from './algorithms.ts';
import { loadMlKem, readMlKem } from './compat/ml-kem.ts';
import { HopConnection, UnsafeChoice } from './hop.ts';
import { HostKeyCheck, type HostKeyStore } from './host-key.ts';
import { KeyRing } from './keys/key-ring.ts';
import { ProxyCommand } from './proxy-command.ts';
import { keepRekeying } from './rekey.ts';
import { openChannel, SshTransport } from './transport.ts';

/**
 * A stored secret; undefined where there is none. Has a deadline of its own. `ask` is for what keeps the secret, such as
 * the passphrase of a vault, and never for the secret itself.
 */
export type SecretReader = (
  name: SecretName,
  source: SecretSource,
  signal: AbortSignal,
  ask: HopContext['ask'],
) => Promise<Secret | undefined>;

export interface DialOptions {
  readonly readSecret: SecretReader;
  /** The known_hosts files themselves, unless a test has others. */
  readonly hostKeys?: HostKeyStore;
  /** What of the data path is off; for tests and the bench. */
  readonly levers?: Partial<Levers>;
  /** The library for post-quantum key exchange, unless a test has another. */
  readonly loadMlKem?: typeof loadMlKem;
  /** Kept over the process's own end; without it, for its life. */
  readonly usedCodes?: UsedCodes;
  /** Default: an empty one. */
  readonly keyRing?: KeyRing;
  /** Default: the machine's own. */
  readonly clock?: HopContext['clock'];
}

const MACHINE: HopContext['clock'] = {
  wallMs: () => Date.now(),
  sleep: (delayMs, signal) => sleep(delayMs, undefined, signal === undefined ? {} : { signal }),
};

const FILES: HostKeyStore = { read: readKnownHosts, append: appendKnownHost };

/**
 * The Dial of the program. One for a whole supervisor: it remembers the keys that a person unlocked and the passwords
 * that logged in, so that a reconnect asks nobody.
 */
export function createDial(options: DialOptions): (request: DialRequest) => Promise<SshTransport> {
  const shared = { keyRing: options.keyRing ?? new KeyRing(), dataPath: new DataPath(options.levers) };
  return (request) => new ChainDial(request, options, shared).run();
}

/** What all dials of a supervisor have in common. */
interface Shared {
  readonly keyRing: KeyRing;
  readonly dataPath: DataPath;
}

/** One attempt to connect through all hops. Leaves nothing open when it rejects. */
class ChainDial {
  readonly #request: DialRequest;
  readonly #options: DialOptions;
  readonly #shared: Shared;
  readonly #hops: HopConnection[] = [];
  /** The stream on the network, which counts what it read. */
  #base: Socket | ProxyCommand | undefined;

  constructor(request: DialRequest, options: DialOptions, shared: Shared) {
    this.#request = request;
    this.#options = options;
    this.#shared = shared;
  }

  async run(): Promise<SshTransport> {
    const { hops, signal, onPhase, timeouts } = this.#request;
    try {
      if (signal.aborted) throw abortFailure(signal);
      onPhase('connecting');
      for (const [index, hop] of hops.entries()) await this.#addSafely(hop, index === hops.length - 1);
      const last = this.#hops.at(-1);
      if (last === undefined) throw new TypeError('A dial needs a hop');
      const base = this.#base;
      const countReceived = (): number => base?.bytesRead ?? 0;
      this.#rekey(countReceived);
      const { dataPath } = this.#shared;
      const { channelMs } = timeouts;
      // What an inner hop reads has passed through a channel of the outer one, which answers for nothing.
      const reads = hops.length === 1 ? dataPath.reuseReads(last.protocol, last.stream, last.notes) : undefined;
      return new SshTransport({ hops: this.#hops, last, channelMs, countReceived, dataPath, reads });
    } catch (error) {
      const reason = signal.aborted ? abortFailure(signal) : asFailure(error);
      for (const hop of this.#hops.toReversed()) hop.destroy(reason);
      this.#base?.destroy();
      throw reason;
    }
  }

  /** A server that lacks strict key exchange and chooses what is unsafe without it is dialled anew, with less on offer. */
  async #addSafely(hop: HopPlan, isLast: boolean): Promise<void> {
    for (const unsafe: Unsafe[] = []; ;) {
      try {
        return await this.#addHop(hop, isLast, unsafe);
      } catch (error) {
        const found =
          error instanceof TunnelError && error.cause instanceof UnsafeChoice ? error.cause.unsafe : undefined;
        if (found === undefined || unsafe.includes(found)) throw nothingSafe(error, unsafe, hop);
        unsafe.push(found);
      }
    }
  }

  async #addHop(hop: HopPlan, isLast: boolean, unsafe: readonly Unsafe[]): Promise<void> {
    const giveUp = new AbortController();
    const name = hopName(hop);
    const forward = (): void => giveUp.abort(abortFailure(this.#request.signal));
    this.#request.signal.addEventListener('abort', forward, { once: true });
    const { connectMs, loginMs } = this.#request.timeouts;
    let waitsFor = 'no answer';
    const late = (what: string, ms: number, code: 'CONNECT_TIMEOUT' | 'LOGIN_TIMEOUT') => (): void =>
      giveUp.abort(new TunnelError(code, `Cannot ${what} ${name}: ${waitsFor} within ${ms / 1000} s`));
    let deadline = new Deadline(connectMs, late('connect to', connectMs, 'CONNECT_TIMEOUT'));
    const connectDeadline = deadline;
    const context = this.#context(hop, name, giveUp.signal, () => deadline.pause());
    const progress = this.#progressOf(hop);
    const startLogin = (): Deadline => {
      progress('exchanged');
      if (isLast) this.#request.onPhase('authenticating');
      waitsFor = 'no answer';
      return (deadline = new Deadline(loginMs, late('log in to', loginMs, 'LOGIN_TIMEOUT')));
    };
    this.#hops.at(-1)?.onEnded((reason) => giveUp.abort(reason)); // a hop lives no longer than the one that carries it
    try {
      const hostKey = await HostKeyCheck.open(context, this.#options.hostKeys ?? FILES);
      await readMlKem(); // first: a socket that is open must find somebody who reads it
      const proven = (this.#options.loadMlKem ?? loadMlKem)();
      const [stream, mlKem] = await Promise.all([this.#stream(hop, name, giveUp.signal, progress), proven]);
      progress('reached');
      if (giveUp.signal.aborted) stream.destroy();
      giveUp.signal.throwIfAborted();
      waitsFor = 'it did not say who it is';
      const identified = (): void => {
        waitsFor = 'the key exchange did not end';
        progress('identified');
      };
      const { dataPath } = this.#shared;
      const start = { stream, hostKey, mlKem, unsafe, dataPath, connectDeadline, identified, startLogin, giveUp };
      this.#hops.push(await HopConnection.open(context, start));
    } catch (error) {
      throw this.#commandFailure(name) ?? (giveUp.signal.aborted ? abortFailure(giveUp.signal) : error);
    } finally {
      deadline.stop();
      connectDeadline.stop();
      this.#request.signal.removeEventListener('abort', forward);
    }
  }

  /** A command that ended by itself before the hop was up says more than the silence it left. */
  #commandFailure(name: string): TunnelError | undefined {
    const base = this.#base;
    if (this.#hops.length > 0 || !(base instanceof ProxyCommand) || base.exitReason === undefined) return undefined;
    if (base.bytesRead > 0 || base.killedByUs) return undefined;
    return new TunnelError(
      'CONNECT_REFUSED',
      `Cannot connect to ${name}: its proxyCommand gave no connection: ${base.exitReason}`,
      {
        hint: 'Run the command by hand to see what it says.',
      },
    );
  }

  /** The first hop's progress is the dial's; what lies behind it is reached through a connection that stands. */
  #progressOf(hop: HopPlan): (progress: DialProgress) => void {
    const { hops, onProgress } = this.#request;
    return hop === hops[0] && onProgress !== undefined ? onProgress : () => undefined;
  }

  async #stream(
    hop: HopPlan,
    name: string,
    signal: AbortSignal,
    progress: (progress: DialProgress) => void,
  ): Promise<Duplex> {
    const before = this.#hops.at(-1);
    if (before !== undefined) {
      if (hop.proxyCommand !== null)
        this.#request.onNote(`${name} is reached through ${before.name}: its proxyCommand is not used`);
      return jump(before, hop, name, signal);
    }
    const pool = this.#shared.dataPath.readPool;
    const onResolved = (): void => progress('resolved');
    this.#base =
      hop.proxyCommand === null
        ? await dialSocket(hop, name, signal, pool === undefined ? { onResolved } : { pool, onResolved })
        : new ProxyCommand(hop.proxyCommand, (line) => this.#request.onNote(`proxyCommand of ${name}: ${line}`));
    return this.#base;
  }

  #context(hop: HopPlan, name: string, signal: AbortSignal, pause: () => () => void): HopContext {
    const { ask, secrets, agentSocket, onNote } = this.#request;
    const { readSecret, usedCodes, clock = MACHINE } = this.#options;
    let questions = 0;
    const untimed = async <T>(work: () => Promise<T>): Promise<T> => {
      const resume = pause();
      try {
        return await work();
      } finally {
        resume();
      }
    };
    const askPerson: HopContext['ask'] = (question) =>
      untimed(async () => {
        questions++;
        try {
          return await ask(question, signal);
        } finally {
          questions--;
        }
      });
    return {
      hop,
      name,
      subject: passwordSubject(hop),
      signal,
      keyRing: this.#shared.keyRing,
      usedCodes: usedCodes ?? this.#shared.keyRing,
      clock,
      agentSocket,
      onNote,
      untimed,
      get asking() {
        return questions > 0;
      },
      ask: askPerson,
      storedSecret: (secret) =>
        untimed(async () => {
          try {
            return await readSecret(secret, secrets[secret.kind], signal, askPerson);
          } catch (error) {
            signal.throwIfAborted();
            if (error instanceof TunnelError && error.code === 'NEEDS_PERSON') throw error; // who is there answers later
            onNote(
              `The ${secret.kind} of ${secret.subject} could not be read: ${error instanceof Error ? error.message : String(error)}`,
            );
            return undefined;
          }
        }),
    };
  }

  #rekey(countReceived: () => number): void {
    const base = this.#base;
    const checks = this.#hops.map((hop, index) => {
      const limits = this.#request.hops[index]?.rekey ?? { bytes: null, everyMs: null };
      return keepRekeying(hop, limits, () => countReceived() + (base?.bytesWritten ?? 0));
    });
    base?.on('data', () => {
      for (const check of checks) check();
    });
  }
}

/** What both sides have in common is not enough, since part of it is unsafe with this server. */
function nothingSafe(error: unknown, unsafe: readonly Unsafe[], hop: HopPlan): unknown {
  if (unsafe.length === 0 || !(error instanceof TunnelError) || error.code !== 'NO_COMMON_ALGORITHM') return error;
  return new TunnelError(
    'NO_COMMON_ALGORITHM',
    `Cannot connect to ${hopName(hop)}: the server lacks strict key exchange (CVE-2023-48795), and all that it offers is unsafe without it`,
    { cause: error, hint: 'Have the server allow AES-GCM or AES-CTR, or update it.' },
  );
}

/** The next hop's stream: a channel through the one before, as `ssh -W` makes it. The hop's own deadline covers it. */
function jump(before: HopConnection, hop: HopPlan, name: string, signal: AbortSignal): Promise<Duplex> {
  const target = { kind: 'tcp', host: hop.host, port: hop.port } as const;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortFailure(signal));
    signal.addEventListener('abort', abort, { once: true });
    before.onEnded(reject);
    try {
      openChannel(
        before.client,
        target,
        { address: '127.0.0.1', port: 0 },
        (error: Error | undefined, channel: Ssh2Channel) => {
          signal.removeEventListener('abort', abort);
          if (error !== undefined)
            return reject(jumpFailure(openFailure(target, before.name, error), name, before.name));
          if (signal.aborted) return channel.destroy();
          boundQueues(channel, QUEUE_BYTES); // or the uplink would see no queue before ssh2's 2 MiB
          resolve(channel);
        },
      );
    } catch (error) {
      reject(asFailure(error));
    }
  });
}

function asFailure(error: unknown): TunnelError {
  if (error instanceof TunnelError) return error;
  return new TunnelError('INTERNAL', `Cannot connect: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}
