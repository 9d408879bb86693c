import type { Server } from 'node:net';
import type { AdHocPlan } from '../../compose-plan.ts';
import type { Engine } from '../../compose-engine.ts';
import type { Ask } from '../../link/ask.ts';
import { cleanLine } from '../../model/clean.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../../model/failure.ts';
import type { ForwardPlan } from '../../model/plan.ts';
import type { SessionRules } from './config.ts';
import { pipeStdio, type StdioEnds } from './stdio-pipe.ts';
import { forwardWords, sshWords } from './words.ts';

/** Whom a session tells, and whom it asks. */
export interface SessionTalk {
  /** In ssh's words, on stderr or in the log of -E. */
  readonly say: (line: string) => void;
  /** What a person should know besides, as the server's banner: not shown under LogLevel ERROR. */
  readonly note: (line: string) => void;
  /** Shown by -v. */
  readonly debug: (line: string) => void;
  readonly ask: Ask;
  readonly agentSocket: string | undefined;
  readonly signal: AbortSignal;
}

type Carrier = ReturnType<Engine['makeCarrier']>;
type Forward = ReturnType<Engine['makeForward']>;

/** How exactly ControlPersist is kept. */
const LOOK_MS = 500;

/** ssh's own code for every failure of its own. */
export const FAILED = 255;

/** One SSH connection as `ssh -N` holds it: no second one is made when it is lost. */
export class SshSession {
  readonly #adHoc: AdHocPlan;
  readonly #rules: SessionRules;
  readonly #engine: Engine;
  readonly #talk: SessionTalk;
  readonly #carrier: Carrier;
  readonly #forwards = new Map<string, Forward>();

  constructor(adHoc: AdHocPlan, rules: SessionRules, engine: Engine, talk: SessionTalk) {
    this.#adHoc = adHoc;
    this.#rules = rules;
    this.#engine = engine;
    this.#talk = talk;
    this.#carrier = engine.makeCarrier(adHoc.plan, {
      ask: talk.ask,
      agentSocket: () => talk.agentSocket,
      onNote: (message) => message.split('\n').forEach((line) => talk.note(cleanLine(line))),
      ready: () => Promise.resolve(),
    });
  }

  /** Connects and logs in, as often as ConnectionAttempts says. Rejects with what ended the last try. */
  async connect(): Promise<void> {
    this.#carrier.need();
    const failures = new Set<TunnelError>();
    await this.#until(({ phase, lastError }) => {
      if (lastError !== null) failures.add(lastError);
      const final = phase === 'failed' || phase === 'waiting' || failures.size >= this.#rules.connectionAttempts;
      if (lastError !== null && final) throw lastError;
      return phase === 'up';
    });
    this.#talk.debug(`Authenticated to ${this.#adHoc.plan.hops.at(-1)?.label ?? ''}.`);
  }

  /** Opens every forward. @returns whether all are there; the others have been told */
  async openForwards(): Promise<boolean> {
    const opened = await Promise.all(this.#adHoc.plan.forwards.map((plan) => this.open(plan)));
    for (const [index, error] of opened.entries()) {
      const plan = this.#adHoc.plan.forwards[index];
      if (error !== null && plan !== undefined) for (const line of forwardWords(error, plan)) this.#talk.say(line);
    }
    return opened.every((error) => error === null);
  }

  /** Opens one forward. @returns why not; null once it listens */
  async open(plan: ForwardPlan): Promise<TunnelError | null> {
    const { limits, whileDown, probe } = this.#adHoc.plan;
    let started = false;
    let changed = (): void => undefined;
    const forward = this.#engine.makeForward(plan, {
      carrier: this.#carrier,
      clock: this.#engine.clock,
      limits,
      whileDown,
      probe,
      proxyPassword: (user) => ({ subject: user, read: () => Promise.resolve(undefined) }), // -D lets everybody in
      onBound: () => undefined,
      onChange: () => changed(),
      onConnection: ({ client, target }) => this.#talk.debug(`Connection of ${client} to ${target} has ended.`),
      onNote: (_level, message) => this.#talk[started ? 'say' : 'debug'](cleanLine(message)), // its start has words of its own
    });
    await forward.start();
    // Where the server listens, its answer is still to come: within the deadline of a request, or with the end of the link.
    await new Promise<void>((resolve) => {
      changed = () => (forward.facts.listening || forward.facts.error !== null ? resolve() : undefined);
      changed();
    });
    started = true;
    const { error, bind, kind } = forward.facts;
    if (error !== null) {
      await forward.close(0); // ssh does not try again
      return error;
    }
    this.#forwards.set(keyOf(plan), forward);
    this.#talk.debug(`${kind} forward listening on ${bind}.`);
    return null;
  }

  /** Where a forward of this plan listens; undefined where there is none. */
  boundAt(plan: ForwardPlan): string | undefined {
    return this.#forwards.get(keyOf(plan))?.facts.bind;
  }

  /** Closes one forward; open connections live on. @returns false where there is none */
  async cancel(plan: ForwardPlan): Promise<boolean> {
    const forward = this.#forwards.get(keyOf(plan));
    this.#forwards.delete(keyOf(plan));
    void forward?.close(Infinity);
    return Promise.resolve(forward !== undefined);
  }

  /** -W. Resolves with the exit code. */
  async pipe(target: Endpoint, ends: StdioEnds): Promise<number> {
    const originator = { address: '127.0.0.1', port: 65_535 };
    try {
      const channel = await this.#carrier.open(target, originator, this.#talk.signal);
      const error = await pipeStdio(channel, ends);
      if (error === undefined) return 0;
      this.#talk.say(cleanLine(error.message));
    } catch (thrown) {
      const { message } = asTunnelError(thrown);
      this.#talk.say(`channel 0: open failed: ${cleanLine(message.slice(message.indexOf(': ') + 2))}`);
      this.#talk.say('stdio forwarding failed');
    }
    return FAILED;
  }

  /** Resolves when the connection is lost, with why. Rejects with the signal's reason. */
  async lost(): Promise<TunnelError> {
    let reason: TunnelError | null = null;
    await this.#until(({ phase, lastError }) => {
      reason = lastError;
      return phase !== 'up';
    });
    return reason ?? new TunnelError('CONNECTION_LOST', 'Connection closed');
  }

  /** ControlPersist: resolves once no forward has carried a connection for so long. Never where that is Infinity. */
  unused(forMs: number): Promise<'exit'> {
    return new Promise((resolve) => {
      if (forMs === Infinity) return;
      let seen = 0;
      let sinceMs = performance.now();
      const look = (): void => {
        const facts = [...this.#forwards.values()].map((forward) => forward.facts);
        const total = facts.reduce((sum, { totalConnections }) => sum + totalConnections, 0);
        if (total !== seen || facts.some(({ openConnections }) => openConnections > 0)) sinceMs = performance.now();
        seen = total;
        if (performance.now() - sinceMs < forMs) return;
        clearInterval(timer);
        resolve('exit');
      };
      const timer = setInterval(look, Math.min(LOOK_MS, forMs));
      timer.unref();
    });
  }

  /** Says why, in ssh's words. */
  explain(error: TunnelError): void {
    for (const line of sshWords(error, this.#adHoc.plan.hops)) this.#talk.say(line);
  }

  /** Ends all of it. */
  async close(server?: Server): Promise<void> {
    server?.close();
    await Promise.all([...this.#forwards.values()].map((forward) => forward.close(0)));
    await this.#carrier.close(0);
  }

  /** Waits until the status is as wanted; what the test throws is the rejection. */
  #until(test: (status: Carrier['status']) => boolean): Promise<void> {
    const { signal } = this.#talk;
    return new Promise((resolve, reject) => {
      let stop = (): void => undefined;
      const settle = (act: () => void): void => {
        stop();
        signal.removeEventListener('abort', aborted);
        act();
      };
      const aborted = (): void => settle(() => reject(asTunnelError(signal.reason)));
      const look = (): void => {
        try {
          if (test(this.#carrier.status)) settle(resolve);
        } catch (error) {
          settle(() => reject(asTunnelError(error)));
        }
      };
      if (signal.aborted) return aborted();
      signal.addEventListener('abort', aborted, { once: true });
      stop = this.#carrier.subscribe(look);
      look();
    });
  }
}

function keyOf({ kind, bind }: ForwardPlan): string {
  return `${kind} ${formatEndpoint(bind)}`;
}
