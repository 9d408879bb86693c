import type { Paths } from '../files/paths.ts';
import type { Clock } from '../model/clock.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { Estate } from '../model/handover.ts';
import type { TunnelSupervisor } from '../supervisor/supervisor.ts';
import { Door } from './door.ts';
import { Gate } from './gate.ts';
import { GiveBack } from './give-back.ts';
import { controlHandlers } from './handlers.ts';
import { handOver, refuseWhereWatched } from './handover.ts';
import type { Heir, HeirCommand } from './heir.ts';
import { IDLE_MS, IdleWatch } from './idle-watch.ts';
import type { Lock } from './lock.ts';
import type { Predecessor } from './predecessor.ts';

export interface DaemonOptions {
  readonly paths: Paths;
  readonly version: string;
  /** `background` restores what was wanted and leaves when nothing is; `foreground` runs what its caller brings up. */
  readonly mode: 'background' | 'foreground';
  /** Called once the home is ours, and not before; with what the supervisor before it has left, where one did. */
  readonly makeSupervisor: (estate?: Estate) => TunnelSupervisor | Promise<TunnelSupervisor>;
  /** Whose place this one takes while that one still runs. */
  readonly predecessor?: Predecessor;
  /** Reads what is needed later, begun once clients come in; they are answered when it is over. Never rejects. */
  readonly load?: () => Promise<void>;
  /** Called before the home is given back or left to another: what only its holder may write. Never rejects; may be called again. */
  readonly finish?: () => Promise<void>;
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
/** What they get when another supervisor has taken over: as those of a link that was replaced. */
const LEAVE_DRAIN_MS = 600_000;
/** Requests that are in work when a handover begins, such as a `down` that drains, are not waited for any longer. */
const FINISH_WITHIN_MS = 2_000;
/** A keychain that is asked for a proxy's password holds up its own listener, not the handover. */
const BIND_WITHIN_MS = 5_000;
/** A logout that removes the runtime folder is mended before the next login is over. */
const MEND_EVERY_MS = 5_000;

/** The parts of a supervisor's process together: who comes in, who stops it, who takes over. Whoever made it opens it. */
export class RunningDaemon implements Daemon {
  readonly supervisor: TunnelSupervisor;
  readonly ended: Promise<void>;
  readonly #options: DaemonOptions;
  readonly #lock: Lock;
  readonly #door: Door;
  readonly #restored: Promise<void>;
  #sayLoaded: () => void = () => undefined;
  readonly #idle: IdleWatch | undefined;
  readonly #giveBack: GiveBack;
  readonly #unsubscribe: () => void;
  readonly #gate: Gate;
  /** Settled once a handover has come to its end, either way. */
  #handing: Promise<void> | undefined;
  #heir: Heir | undefined;
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
    this.#gate = new Gate(clock);
    this.ended = new Promise((resolve) => (this.#sayEnded = resolve));
    this.#restored = mode === 'background' ? supervisor.restore() : Promise.resolve();
    const stop = (): void => void this.stop();
    this.#door = new Door(options.paths, lock, {
      identity: {
        version,
        pid: process.pid,
        startedAt: supervisor.snapshot().supervisor?.startedAt ?? lock.facts.startedAt,
      },
      handlers: controlHandlers({
        supervisor,
        restored: this.#restored,
        loaded: new Promise((resolve) => (this.#sayLoaded = resolve)),
        gate: this.#gate,
        handOver: (command) => this.#handOver(command),
        stop,
      }),
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
    void (this.#options.load?.() ?? Promise.resolve()).then(this.#sayLoaded);
    this.#armMend();
    if (this.#options.predecessor !== undefined) void this.#succeed(this.#options.predecessor);
  }

  report(fault: TunnelError): void {
    this.supervisor.noteFault(faultLine(fault));
    this.#options.onFault(fault);
  }

  stop(drainMs = STOP_DRAIN_MS): Promise<void> {
    if (this.#heir !== undefined && this.#stopping !== undefined) this.supervisor.succession.hurry(null, drainMs);
    this.#stopping ??= this.#end(drainMs).finally(this.#sayEnded);
    return this.#stopping;
  }

  /** What the one before us served is ours once every listener that it left has its forward. Never rejects. */
  async #succeed(predecessor: Predecessor): Promise<void> {
    const { succession } = this.supervisor;
    succession.onDown((name, drainMs) => predecessor.tookDown(name, drainMs));
    const patience = new AbortController();
    const late = this.#options.clock.sleep(BIND_WITHIN_MS, patience.signal).catch(() => undefined);
    await this.#step(this.#restored.then(() => Promise.race([succession.settle(), late])));
    patience.abort();
    succession.letGo();
    predecessor.serving();
  }

  /** Answers once another supervisor serves; this one begins to leave then. */
  async #handOver(command: HeirCommand): Promise<{ readonly pid: number }> {
    if (this.#options.mode !== 'background')
      throw new TunnelError('PROTOCOL', 'Cannot hand over the supervisor: it runs in the foreground');
    refuseWhereWatched(process.env, process.pid);
    if (this.#stopping !== undefined || this.#handing !== undefined)
      throw new TunnelError('STOPPED', 'Cannot hand over the supervisor: it is about to leave already');
    const found = this.#findHeir(command);
    this.#handing = found.then(
      () => undefined,
      () => undefined, // told to whoever asked
    );
    try {
      const heir = (this.#heir = await found);
      setImmediate(() => void this.stop(LEAVE_DRAIN_MS)); // the answer goes out first
      return { pid: heir.pid };
    } finally {
      this.#handing = undefined;
    }
  }

  /** Nothing that is to be handed over changes meanwhile; where it fails all is as before. */
  async #findHeir(command: HeirCommand): Promise<Heir> {
    const { paths, clock } = this.#options;
    const { succession } = this.supervisor;
    this.#cancelMend();
    await this.#mending;
    await this.#step(this.#restored);
    await this.#gate.shut(FINISH_WITHIN_MS);
    await this.#options.finish?.(); // the home is the heir's afterwards
    this.#door.stopListening();
    try {
      return await handOver(command, { succession, lock: this.#lock, paths, clock });
    } catch (error) {
      await this.#step(this.#lock.renew(this.#door.socket)); // the other may have had it
      await this.#step(this.#door.open());
      this.#gate.open();
      this.#armMend();
      throw error;
    }
  }

  async #end(drainMs: number): Promise<void> {
    await this.#handing;
    await (this.#heir === undefined ? this.#stop(drainMs) : this.#leave(this.#heir, drainMs));
  }

  /** Our clients are the heir's by now; connections that are open have until `drainMs`, or until the heir says otherwise. */
  async #leave(heir: Heir, drainMs: number): Promise<void> {
    const { succession } = this.supervisor;
    this.#idle?.stop();
    this.#cancelMend();
    this.#gate.lock();
    heir.onDown((name, shorterMs) => {
      succession.hurry(name, shorterMs);
      succession.tookDown(name, shorterMs);
    });
    void heir.gone.then(() => succession.hurry(null, STOP_DRAIN_MS)); // nobody should serve without being found
    const left = succession.leave(drainMs);
    await this.#step(this.#door.close());
    await this.#step(left);
    await this.#options.predecessor?.gone; // it may serve on, and is told what happens by us alone
    heir.letGo();
    this.#giveBack.stop();
    this.#unsubscribe();
    await this.#step(this.supervisor.close(0));
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
    await this.#options.finish?.();
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
