import { spawn, type ChildProcess } from 'node:child_process';
import type { Paths } from '../files/paths.ts';
import type { Clock } from '../model/clock.ts';
import { cleanLine } from '../model/clean.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import { HANDOVER_VERSION, type Estate } from '../model/handover.ts';
import { fromHeir, type Deed, type FromHeir } from './handover-messages.ts';
import { openOutput, type DaemonOutput } from './output.ts';

/** What runs the next supervisor. */
export interface HeirCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** As a start by a command: a slow disk and a cold cache included. */
const READY_WITHIN_MS = 10_000;
/** `ssh -G` may be asked for each of many profiles. Both supervisors take clients meanwhile. */
const SERVES_WITHIN_MS = 30_000;
/** stdin, stdout, stderr and the channel come before the sockets. */
const FIRST_FD = 4;

/**
 * The supervisor that is to take our place, as our child: it has our listening sockets as descriptors from its first moment,
 * so that whichever of the two is killed, the other has them. Whoever starts it either leaves, or kills it.
 */
export class Heir {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #output: DaemonOutput;
  readonly #sockets: Estate['sockets'];
  #onDown: (name: string | null, drainMs: number) => void = () => undefined;
  #onMessage: (message: FromHeir | TunnelError | string) => void = () => undefined;
  #ended: string | undefined;
  readonly #gone: Promise<void>;

  constructor(command: HeirCommand, sockets: Estate['sockets'], output: DaemonOutput, clock: Clock) {
    this.#sockets = sockets;
    this.#output = output;
    this.#clock = clock;
    this.#child = spawn(command.program, command.args, {
      cwd: '/',
      detached: true, // it must outlive us, and the terminal of whoever asked
      env: command.env,
      stdio: ['pipe', output.fd, output.fd, 'ipc', ...sockets.map(({ fd }) => fd)],
      windowsHide: true,
    });
    this.#gone = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#end(error.message, resolve));
      this.#child.once('exit', (status, signal) => this.#end(signal ?? `status ${status ?? 'unknown'}`, resolve));
    });
    this.#child.on('message', (message) => this.#read(message));
    // By its stdin, not by the channel: it finds this there even if we are killed before it has begun to listen.
    this.#child.stdin?.on('error', () => undefined); // it has ended, which 'exit' tells
    this.#child.stdin?.end(JSON.stringify({ handover: HANDOVER_VERSION, sockets: sockets.map(asHeirSees) }));
  }

  /** @throws TunnelError FILE where its output has no place */
  static async start(command: HeirCommand, sockets: Estate['sockets'], paths: Paths, clock: Clock): Promise<Heir> {
    return new Heir(command, sockets, await openOutput(paths), clock);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when it has ended. */
  get gone(): Promise<void> {
    return this.#gone;
  }

  /** Resolves once its program is loaded. @throws TunnelError PROTOCOL where it is of another kind, HANDOVER_FAILED */
  async ready(): Promise<void> {
    const { handover } = await this.#next('ready', READY_WITHIN_MS);
    if (handover === HANDOVER_VERSION) return;
    throw new TunnelError('PROTOCOL', 'Cannot hand over the supervisor: the next one expects another way of doing it');
  }

  /** Leaves all to it, and resolves once it serves. @param estate as it is now @throws TunnelError HANDOVER_FAILED */
  async serves(token: string, estate: Estate): Promise<void> {
    const open = new Set(estate.sockets.map((socket) => JSON.stringify(socket)));
    const closed = this.#sockets.flatMap((socket, index) => (open.has(JSON.stringify(socket)) ? [] : FIRST_FD + index));
    const { serverBinds, unlocked } = estate;
    this.#send({ token, closed, serverBinds, unlocked });
    await this.#next('serving', SERVES_WITHIN_MS);
    await this.#output.close();
  }

  /** Calls back when a tunnel is taken down (null: all) that we may still have connections of. */
  onDown(callback: (name: string | null, drainMs: number) => void): void {
    this.#onDown = callback;
  }

  /** It needs us no more. */
  letGo(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  /** Resolves when nothing of it is left. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.pid !== undefined) await this.#gone;
    await this.#output.close();
  }

  #send(message: Deed): void {
    this.#child.send(message, (error) => {
      if (error !== null) this.#onMessage(`it cannot be told: ${error.message}`);
    });
  }

  #read(message: unknown): void {
    try {
      const said = fromHeir(message);
      if (said.step === 'down') this.#onDown(said.name, said.drainMs);
      else this.#onMessage(said);
    } catch (error) {
      this.#onMessage(asTunnelError(error));
    }
  }

  #end(why: string, resolve: () => void): void {
    this.#ended = why;
    this.#onMessage(`it ended (${why})`);
    resolve();
  }

  async #next<S extends FromHeir['step']>(step: S, withinMs: number): Promise<Extract<FromHeir, { step: S }>> {
    let cancel = (): void => undefined;
    const said = await new Promise<FromHeir | TunnelError | string>((resolve) => {
      this.#onMessage = resolve;
      if (this.#ended !== undefined) resolve(`it ended (${this.#ended})`);
      cancel = this.#clock.after(withinMs, () => resolve('it does not answer'));
    });
    cancel();
    if (said instanceof TunnelError) throw said;
    if (typeof said !== 'string' && isStep(said, step)) return said;
    const lines = (await this.#output.lastLines()).map((line) => cleanLine(line));
    const why = [typeof said === 'string' ? said : 'it is out of step', ...lines].join(' / ');
    throw new TunnelError('HANDOVER_FAILED', `Cannot hand over to the next supervisor: ${why}`);
  }
}

/** The descriptors that our sockets have in the child: stdio entries are numbered as they stand. */
function asHeirSees({ protocol, at }: Estate['sockets'][number], index: number): Estate['sockets'][number] {
  return { protocol, at, fd: FIRST_FD + index };
}

function isStep<S extends FromHeir['step']>(message: FromHeir, step: S): message is Extract<FromHeir, { step: S }> {
  return message.step === step;
}
