import { randomUUID } from 'node:crypto';
import { connectControl } from '../control/client.ts';
import type { Paths } from '../files/paths.ts';
import { ensurePrivateFolder } from '../files/private-folder.ts';
import type { Clock } from '../model/clock.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { TunnelSupervisor } from '../supervisor/supervisor.ts';
import { Door } from './door.ts';
import { controlHandlers } from './handlers.ts';
import { GiveBack } from './give-back.ts';
import { IDLE_MS, IdleWatch } from './idle-watch.ts';
import type { LockFacts } from './lock-facts.ts';
import { takeLock, type Lock } from './lock.ts';
import { isUnwritable, lockless } from './lockless.ts';
import { onStopSignal, surviveFaults } from './process-events.ts';
import { ownIdentity } from './process-identity.ts';

export interface DaemonOptions {
  readonly paths: Paths;
  readonly version: string;
  /** `background` restores what was wanted and leaves when nothing is; `foreground` runs what its caller brings up. */
  readonly mode: 'background' | 'foreground';
  /** Called once the home is ours, and not before. */
  readonly makeSupervisor: () => TunnelSupervisor | Promise<TunnelSupervisor>;
  readonly clock: Clock;
  /** A failure that belongs to no tunnel and no client. Once there is a supervisor its log has it too. */
  readonly onFault: (error: TunnelError) => void;
  /** Default 10 minutes. */
  readonly idleMs?: number;
}

/** A supervisor that serves its home. Whoever started it stops it. */
export interface Daemon {
  readonly supervisor: TunnelSupervisor;
  /** Where clients reach it, this process among them. */
  readonly socket: string;
  /** Resolves when all is closed and given back, whoever asked for the end. */
  readonly ended: Promise<void>;
  /** Reports a fault of ours that nothing caught, as `onFault` of the options does, and in the log. */
  report(fault: TunnelError): void;
  /** Takes no new clients, closes the tunnels, hangs up, gives the home back. Safe to call again: the first drain counts. */
  stop(drainMs?: number): Promise<void>;
}

/** What open connections get when the supervisor ends: a client that starts the next one waits for it. */
export const STOP_DRAIN_MS = 2_000;
/** A logout that removes the runtime folder is mended before the next login is over. */
const MEND_EVERY_MS = 5_000;

/**
 * Becomes the supervisor of this home and serves its clients. Sets the umask of the process to 0077.
 * @throws TunnelError SUPERVISOR_RUNNING that names the pid, FILE when the home cannot be used
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { paths, version, clock } = options;
  process.umask(0o077);
  const about = { socket: paths.socket, version, startedAt: new Date(clock.wallMs()).toISOString() };
  const { lock, without } = await takeHome(options, about);
  let supervisor: TunnelSupervisor | undefined;
  try {
    supervisor = await options.makeSupervisor();
    const daemon = new RunningDaemon(options, lock, supervisor, without !== undefined);
    await daemon.open();
    if (without !== undefined) daemon.report(without);
    return daemon;
  } catch (error) {
    await supervisor?.close(0);
    await lock.release();
    throw error;
  }
}

/** @returns the lock of this home; `without`: why there is none, and the supervisor in the foreground runs all the same */
async function takeHome(
  { paths, version, mode }: DaemonOptions,
  about: Pick<LockFacts, 'socket' | 'version' | 'startedAt'>,
): Promise<{ readonly lock: Lock; readonly without?: TunnelError }> {
  try {
    await ensurePrivateFolder(paths.stateDir);
    return { lock: await takeLock(paths.lockFile, about, answersAt(version)) };
  } catch (thrown) {
    if (mode !== 'foreground' || !isUnwritable(thrown)) throw thrown;
    const facts: LockFacts = { ...(await ownIdentity()), ...about, token: randomUUID() };
    const message = `${thrown.message}; the tunnels run without it, but the other commands do not find them`;
    return {
      lock: await lockless(paths.lockFile, facts),
      without: new TunnelError('FILE', message, { cause: thrown, hint: thrown.hint }),
    };
  }
}

/** `daemon run`: a supervisor in the background, until it is told to stop or nobody needs it. */
export interface RunDaemonOptions extends Omit<DaemonOptions, 'mode'> {
  /** Ends it, as SIGTERM, SIGINT and SIGHUP do where none is given. */
  readonly signal?: AbortSignal;
  readonly onReady?: (daemon: Daemon) => void;
}

/**
 * Runs until stopped, and resolves then. Faults of ours that nothing caught are reported and survived.
 * @throws as `startDaemon`
 */
export async function runDaemon(options: RunDaemonOptions): Promise<void> {
  const daemon = await startDaemon({ ...options, mode: 'background' });
  const stop = (): void => void daemon.stop(); // `ended` tells how that went
  const letGo = [onStopSignal(options.signal, stop), surviveFaults((fault) => daemon.report(fault), stop)];
  options.onReady?.(daemon);
  await daemon.ended;
  for (const release of letGo) release();
}

class RunningDaemon implements Daemon {
  readonly supervisor: TunnelSupervisor;
  readonly ended: Promise<void>;
  readonly #options: DaemonOptions;
  readonly #lock: Lock;
  readonly #door: Door;
  readonly #restored: Promise<void>;
  readonly #idle: IdleWatch | undefined;
  readonly #giveBack: GiveBack;
  readonly #unsubscribe: () => void;
  #cancelMend: () => void = () => undefined;
  #mending: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;
  #sayEnded: () => void = () => undefined;
  readonly #said = new Set<string>();

  constructor(options: DaemonOptions, lock: Lock, supervisor: TunnelSupervisor, homeless: boolean) {
    const { version, mode, clock } = options;
    const onFault = (error: TunnelError): void => this.report(error);
    this.supervisor = supervisor;
    this.#options = options;
    this.#lock = lock;
    this.ended = new Promise((resolve) => (this.#sayEnded = resolve));
    this.#restored = mode === 'background' ? supervisor.restore() : Promise.resolve();
    const stop = (): void => void this.stop();
    this.#door = new Door(options.paths, lock, {
      identity: {
        version,
        pid: process.pid,
        startedAt: supervisor.snapshot().supervisor?.startedAt ?? lock.facts.startedAt,
      },
      handlers: controlHandlers({ supervisor, restored: this.#restored, stop }),
      onFault,
      homeless,
    });
    const isNeeded = (): boolean => supervisor.wantedCount > 0 || this.#door.connectionCount > 0;
    this.#idle = mode === 'background' ? new IdleWatch(clock, options.idleMs ?? IDLE_MS, isNeeded, stop) : undefined;
    this.#restored.then(
      () => this.#idle?.look(),
      (error: unknown) => onFault(asTunnelError(error)),
    );
    this.#giveBack = new GiveBack(clock);
    this.#unsubscribe = supervisor.subscribe(({ event }) => {
      if (event === 'connection') this.#giveBack.ended();
      if (event === 'tunnel' || event === 'removed') this.#idle?.look();
    });
  }

  get socket(): string {
    return this.#door.socket;
  }

  async open(): Promise<void> {
    await this.#door.open();
    this.#armMend();
  }

  report(fault: TunnelError): void {
    this.supervisor.noteFault(faultLine(fault));
    this.#options.onFault(fault);
  }

  stop(drainMs = STOP_DRAIN_MS): Promise<void> {
    this.#stopping ??= this.#stop(drainMs).finally(this.#sayEnded);
    return this.#stopping;
  }

  /** Each step is taken whatever became of those before it: the lock goes last, so that nobody starts too early. */
  async #stop(drainMs: number): Promise<void> {
    this.#idle?.stop();
    this.#giveBack.stop();
    this.#cancelMend();
    this.#unsubscribe();
    await this.#mending;
    this.#door.stopListening();
    await this.#step(this.#restored);
    await this.#step(this.supervisor.close(drainMs));
    await this.#step(this.#door.close());
    await this.#step(this.#lock.release());
  }

  async #step(step: Promise<void>): Promise<void> {
    try {
      await step;
    } catch (error) {
      this.report(asTunnelError(error));
    }
  }

  #armMend(): void {
    if (this.#stopping !== undefined) return;
    this.#cancelMend = this.#options.clock.after(MEND_EVERY_MS, () => {
      this.#mending = this.#mend().then(() => this.#armMend());
    });
  }

  async #mend(): Promise<void> {
    this.#idle?.look(); // connections come and go without an event
    try {
      if (!(await this.#door.mend())) void this.stop();
    } catch (error) {
      this.#sayOnce(asTunnelError(error));
    }
  }

  /** A state folder that is read-only fails each time: once is enough. */
  #sayOnce(error: TunnelError): void {
    if (this.#said.has(error.message)) return;
    this.#said.add(error.message);
    this.report(error);
  }
}

/** Frames that say where in our code it was: enough to find it, and no page of a log. */
const FRAMES = 3;

/** For the log, which is what a person is asked to report: a fault that nothing caught says where it stood. */
function faultLine({ code, message, cause }: TunnelError): string {
  if (code !== 'INTERNAL' || !(cause instanceof Error)) return message;
  const frames = (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const where = frames.slice(0, FRAMES).map((line) => line.trim());
  return `A fault of tunnel was survived: ${[message, ...where].join(' ')}`;
}

/** Whether somebody says hello there, of whatever version. */
function answersAt(version: string): (facts: LockFacts) => Promise<boolean> {
  return async ({ socket }) => {
    try {
      (await connectControl(socket, version, { anyProtocol: true, withinMs: 1_000 })).close();
      return true;
    } catch {
      return false; // whatever the reason, no supervisor of ours serves there
    }
  };
}
