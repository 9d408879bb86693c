import type { Carrier, RemoteListener } from '../../link/carrier.ts';
import type { OnIncoming } from '../../link/transport.ts';
import type { Clock } from '../../model/clock.ts';
import { formatDuration } from '../../model/duration.ts';
import { formatEndpoint } from '../../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../../model/failure.ts';
import type { DemandPlan, ReturnPortPlan } from '../../model/plan.ts';
import { abortReason } from '../abort-reason.ts';
import type { OnNote } from '../clients/burst.ts';
import type { ClientTurns, Turn } from '../clients/client-turns.ts';
import { decide } from '../demand.ts';
import type { DemandFacts } from '../forward-context.ts';
import { unlessAborted } from '../unless-aborted.ts';

export interface ReturnPortsParts {
  readonly opens: readonly ReturnPortPlan[];
  readonly rules: DemandPlan;
  readonly carrier: Carrier;
  readonly clock: Clock;
  /** While ports are open for a client, nobody else gets a turn. */
  readonly turns: ClientTurns;
  readonly onIncoming: (incoming: Parameters<OnIncoming>[0], client: string, port: ReturnPortPlan) => void;
  /** The ports are closed, and with them what came through them. */
  readonly onClose: (why: string) => void;
  readonly onNote: OnNote;
  readonly onChange: () => void;
}

/** One time of being open, for one client. */
interface Opening {
  readonly client: string;
  readonly openedMs: number;
  readonly listeners: RemoteListener[];
  /** What the server says of a port that is wanted and does not listen. */
  readonly problems: Map<ReturnPortPlan, TunnelError>;
  readonly release: () => void;
  turn: Turn | undefined;
  /** Uses of the trigger that wait until the server listens: they keep it open. */
  waiting: number;
  lastUseMs: number;
  /** Ends the waiting where it is closed before that. */
  readonly ended: AbortController;
  /** Settles once the server listens at all ports, or refuses one. */
  ready: Promise<void>;
}

/** The return ports of a trigger: open on the server for the one client that triggered, while there is traffic. */
export class ReturnPorts {
  readonly #parts: ReturnPortsParts;
  #opening: Opening | undefined;
  /** Why the last use could not open them. */
  #error: TunnelError | null = null;
  #cancelLook: () => void = () => undefined;
  /** The same ports can be asked for again once the server has let them go. Never rejects. */
  #closed: Promise<unknown> = Promise.resolve();

  constructor(parts: ReturnPortsParts) {
    this.#parts = parts;
  }

  get error(): TunnelError | null {
    const [problem] = this.#opening?.problems.values() ?? [];
    return problem ?? this.#error;
  }

  get facts(): DemandFacts {
    const { clock, rules } = this.#parts;
    if (this.#opening === undefined) return { open: false, closesAtMs: null };
    const decision = decide(this.#state(this.#opening), rules);
    const untilMs = decision.name === 'keep' ? decision.idleUntilMs : null;
    return { open: true, closesAtMs: untilMs === null ? null : Math.round(clock.wallMs() + untilMs - clock.nowMs()) };
  }

  /** A client uses the trigger: resolves once the ports lead to it. Rejects with FORWARD_REFUSED, or the signal's reason. */
  async open(client: string, signal: AbortSignal): Promise<void> {
    const opening = this.#opening ?? this.#begin(client);
    opening.waiting += 1;
    this.renew();
    try {
      await unlessAborted(opening.ready, signal);
    } finally {
      opening.waiting -= 1;
      this.renew();
    }
  }

  /** There was traffic until now. */
  renew(): void {
    if (this.#opening === undefined) return;
    this.#opening.lastUseMs = this.#parts.clock.nowMs();
    this.#look();
  }

  /** Closes them now, and resolves once the server has, or cannot be asked any more. Safe to call at any time. */
  async close(why: string): Promise<void> {
    const opening = this.#opening;
    if (opening !== undefined) this.#end(opening, why);
    await this.#closed;
  }

  #begin(client: string): Opening {
    const { carrier, clock, turns } = this.#parts;
    const nowMs = clock.nowMs();
    const opening: Opening = {
      client,
      openedMs: nowMs,
      lastUseMs: nowMs,
      listeners: [],
      problems: new Map(),
      release: carrier.need(),
      turn: undefined,
      waiting: 0,
      ended: new AbortController(),
      ready: Promise.resolve(),
    };
    this.#opening = opening;
    const turn = turns.ask(client, 0, (why) => this.#end(opening, why));
    if (typeof turn !== 'string') opening.turn = turn; // whoever uses the trigger has its turn already
    opening.ready = this.#listen(opening);
    opening.ready.catch((thrown: unknown) => this.#failed(opening, asTunnelError(thrown)));
    this.#parts.onChange();
    return opening;
  }

  async #listen(opening: Opening): Promise<void> {
    await this.#closed;
    opening.ended.signal.throwIfAborted();
    const bound = await Promise.all(this.#parts.opens.map((port) => this.#listenAt(port, opening)));
    this.#error = null;
    this.renew();
    const span = formatDuration(this.#parts.rules.idleMs);
    this.#parts.onNote('info', `Opened ${bound.join(', ')} for ${opening.client}, until ${span} without traffic`);
    this.#parts.onChange();
  }

  /** @returns where the server listens and where it leads, for the log */
  #listenAt(port: ReturnPortPlan, opening: Opening): Promise<string> {
    const { carrier, onIncoming, onChange } = this.#parts;
    return new Promise((resolve, reject) => {
      const { signal } = opening.ended;
      signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
      const accept: OnIncoming = (incoming) => {
        if (this.#opening === opening) onIncoming(incoming, opening.client, port);
        else incoming.refuse();
      };
      const listener = carrier.listen(port.bind, accept, {
        listening: (bound) => {
          opening.problems.delete(port);
          const to = formatEndpoint({ kind: 'tcp', host: opening.client, port: port.clientPort });
          resolve(`${formatEndpoint(bound)} -> ${to}`);
          onChange();
        },
        lost: (error) => {
          // Anything else is the link's trouble, and ends with it.
          if (error.code !== 'FORWARD_REFUSED') return;
          opening.problems.set(port, error);
          reject(error);
          onChange();
        },
      });
      opening.listeners.push(listener);
    });
  }

  #failed(opening: Opening, error: TunnelError): void {
    if (this.#opening !== opening) return;
    this.#error = error;
    this.#parts.onNote('error', error.message, error.code);
    this.#end(opening, 'the server refused');
  }

  #look(): void {
    const { clock, rules } = this.#parts;
    const opening = this.#opening;
    this.#cancelLook();
    if (opening === undefined) return;
    const decision = decide(this.#state(opening), rules);
    if (decision.name === 'close') {
      const after = decision.why === 'idle' ? `${formatDuration(rules.idleMs)} without traffic` : 'their lifetime';
      this.#parts.onNote('info', `Closed the return ports for ${opening.client} after ${after}`);
      this.#end(opening, `the return ports were closed after ${after}`);
    } else if (decision.name === 'keep' && decision.untilMs !== null) {
      this.#cancelLook = clock.after(decision.untilMs - clock.nowMs(), () => this.#look());
    }
  }

  /** Once they are open nobody keeps them so by being there: traffic alone does. */
  #state({ openedMs, lastUseMs, waiting }: Opening) {
    return { nowMs: this.#parts.clock.nowMs(), openedMs, users: waiting, lastUseMs };
  }

  #end(opening: Opening, why: string): void {
    if (this.#opening !== opening) return;
    this.#opening = undefined;
    this.#cancelLook();
    opening.ended.abort(new TunnelError('STOPPED', `Cannot open the return ports for ${opening.client}: ${why}`));
    this.#closed = Promise.all([this.#closed, ...opening.listeners.map((listener) => listener.close())]);
    this.#parts.onClose(why);
    opening.turn?.leave();
    void this.#closed.then(opening.release);
    this.#parts.onChange();
  }
}
