import type { Socket } from 'node:net';
import { formatDuration } from '../model/duration.ts';
import type { Originator } from '../link/transport.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError, type FailureCode } from '../model/failure.ts';
import type { ForwardPlan } from '../model/plan.ts';
import type { ConnectionRecord } from '../model/status.ts';
import { AcceptedConnection, type Outcome } from './accepted-connection.ts';
import { Admission } from './admission.ts';
import { Burst } from './burst.ts';
import { ClientTurns, type Turn } from './client-turns.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings, HealthSource } from './forward-context.ts';
import { HealthWatch } from './health-watch.ts';
import { LinkNeed } from './link-need.ts';
import { listen, type Listener } from './listener.ts';
import type { Route } from './route.ts';

/** The contract's pace for a port that could not be bound; binding costs the server nothing. */
const REBIND_MS = 2_000;
/** What is no port's trouble (a keychain that is locked) changes by a person's hand. */
const READY_AGAIN_MS = 10_000;
/** Looking for the holder reads the files of all processes: done at first, then once in so many tries. */
const NAME_HOLDER_EVERY = 15;

/** RFC 4254 section 7.2 wants an address; a unix socket's peer has none. The values OpenSSH sends in its place. */
const NO_ADDRESS = { address: '127.0.0.1', port: 65_535 };

/** A forward whose clients come to a listener of ours: binds, keeps the listener, and gives each client its route. */
export class ListeningForward implements Forward {
  readonly #plan: ForwardPlan;
  readonly #route: Route;
  readonly #context: ForwardContext;
  readonly #admission: Admission;
  readonly #turns: ClientTurns;
  readonly #burst: Burst;
  readonly #need: LinkNeed;
  readonly #health: HealthSource | undefined;
  readonly #connections = new Set<AcceptedConnection>();
  #settings: ForwardSettings;
  #listener: Listener | undefined;
  #error: TunnelError | null = null;
  #tries = 0;
  #cancelRebind: () => void = () => undefined;
  #closing = false;
  #drained: Promise<void> | undefined;
  #cutAtMs = Infinity;
  #cancelCut: () => void = () => undefined;
  #whenEmpty: () => void = () => undefined;
  #binding: Promise<void> = Promise.resolve();
  /** Of finished connections; the open ones are added when somebody asks. */
  readonly #finished = { connections: 0, receivedBytes: 0, sentBytes: 0 };

  /** @param turns shared with others who keep a client's turn for it */
  constructor(plan: ForwardPlan, route: Route, context: ForwardContext, turns = new ClientTurns(plan.clients)) {
    this.#plan = plan;
    this.#route = route;
    this.#context = context;
    this.#settings = context;
    this.#admission = new Admission(plan.allow);
    this.#turns = turns;
    this.#burst = new Burst(context.clock, (...note) => context.onNote(...note));
    this.#need = new LinkNeed(plan.demand, {
      carrier: context.carrier,
      clock: context.clock,
      onChange: () => this.#needChanged(),
      onClose: (why) => this.#unneeded(why),
    });
    this.#health = route.health ?? probeOf(plan, route, () => this.#need.open, context);
  }

  get facts(): ForwardFacts {
    const { connections, receivedBytes, sentBytes } = this.#finished;
    const open = [...this.#connections];
    const demand = this.#need.facts;
    return {
      name: this.#plan.name,
      kind: this.#plan.kind,
      bind: formatEndpoint(this.#bound),
      target: this.#route.label,
      listening: this.#listener !== undefined,
      error: this.#error,
      health: this.#health?.health ?? null,
      openConnections: open.length,
      totalConnections: connections + open.length,
      receivedBytes: open.reduce((sum, connection) => sum + connection.receivedBytes, receivedBytes),
      sentBytes: open.reduce((sum, connection) => sum + connection.sentBytes, sentBytes),
      ...(demand === undefined ? {} : { demand }),
    };
  }

  start(): Promise<void> {
    this.#binding = this.#bind();
    return this.#binding;
  }

  linkChanged(): void {
    this.#health?.linkChanged();
  }

  update(settings: ForwardSettings): void {
    this.#settings = settings;
    this.#health?.update(settings.probe);
  }

  close(drainMs: number): Promise<void> {
    this.#closing = true;
    this.#cancelRebind();
    this.#health?.close();
    this.#stopListening();
    const { up } = this.#context.carrier;
    this.#cutWhere(({ queued, served }) => queued || (!up && !served)); // nothing to wait for
    this.#cutAfter(drainMs);
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  get #bound(): Endpoint {
    return this.#listener?.bound ?? this.#plan.bind;
  }

  async #bind(): Promise<void> {
    try {
      await this.#route.ready?.();
      if (this.#closing) return;
      const listener = await this.#listen();
      if (this.#closing) return listener.close();
      this.#listening(listener);
    } catch (thrown) {
      if (!this.#closing) this.#notBound(asTunnelError(thrown));
    }
  }

  #listen(): Promise<Listener> {
    const { preferredPort } = this.#context;
    return listen({
      bind: this.#plan.bind,
      ...(preferredPort === undefined ? {} : { preferredPort }),
      nameHolder: this.#tries++ % NAME_HOLDER_EVERY === 0,
      onSocket: (socket) => this.#accept(socket),
      onAcceptError: ({ code, message }) => {
        const where = formatEndpoint(this.#bound);
        const why = code === 'EMFILE' ? 'Too many open files; raise `ulimit -n`' : message;
        this.#burst.note('error', `Cannot accept a connection at ${where}: ${why}`);
      },
      onNote: (message) => this.#context.onNote('warn', message),
    });
  }

  #listening(listener: Listener): void {
    const late = this.#error !== null;
    this.#listener = listener;
    this.#error = null;
    // Only now: no login to the server for a port that nobody can use.
    this.#need.begin();
    if (listener.bound.kind === 'tcp') this.#context.onBound(listener.bound.port);
    if (late) this.#context.onNote('info', `Listening at ${formatEndpoint(listener.bound)} now`);
    this.#health?.start();
    this.#context.onChange();
  }

  #notBound(error: TunnelError): void {
    const known = this.#error?.code === error.code && (this.#tries - 1) % NAME_HOLDER_EVERY !== 0;
    if (!known && this.#error?.message !== error.message) {
      this.#error = error;
      this.#context.onNote('error', error.message, error.code);
      this.#context.onChange();
    }
    this.#cancelRebind = this.#context.clock.after(error.code.startsWith('BIND_') ? REBIND_MS : READY_AGAIN_MS, () => {
      this.#binding = this.#bind();
    });
  }

  #accept(socket: Socket): void {
    const unix = this.#plan.bind.kind === 'unix';
    const { remoteAddress, remotePort } = socket;
    if (!unix && (remoteAddress === undefined || remotePort === undefined)) return void socket.destroy(); // reset already
    const originator = {
      address: remoteAddress ?? NO_ADDRESS.address,
      port: remotePort ?? NO_ADDRESS.port,
      ...reachedOf(socket),
    };
    const client = unix ? 'unix' : formatEndpoint({ kind: 'tcp', host: originator.address, port: originator.port });
    const place = unix ? 'unix' : originator.address;
    let connection: AcceptedConnection | undefined = undefined;
    const turn = this.#admit(place, (why) => connection?.cut(this.#closed(why)));
    if (turn === undefined) {
      socket.destroy();
      this.#finished.connections += 1;
      return this.#context.onChange();
    }
    connection = new AcceptedConnection({
      socket,
      client,
      originator,
      route: this.#route,
      clock: this.#context.clock,
      holdMs: this.#settings.whileDown.holdMs,
      linkUp: () => this.#context.carrier.up,
      turn: turn.come,
    });
    this.#run(connection, place, turn);
  }

  #run(connection: AcceptedConnection, place: string, turn: Turn): void {
    this.#connections.add(connection);
    this.#context.onChange();
    const leave = this.#need.enter();
    void connection.run().then((outcome) => {
      this.#ended(connection, place, outcome);
      turn.leave();
      leave();
    });
  }

  /** @returns undefined where it is turned away, and the reason told */
  #admit(place: string, cut: (why: string) => void): Turn | undefined {
    const { limits, whileDown } = this.#settings;
    // On demand the link may be down because nobody has used it so far: the carrier tells that from an outage.
    if (!whileDown.hold && !this.#context.carrier.up && this.#plan.demand === null) {
      this.#burst.note('warn', `Cannot reach ${this.#route.label}: the SSH connection is down`, 'HOLD_EXPIRED');
      return undefined;
    }
    const refused = this.#admission.admit(place, limits);
    if (refused !== undefined) return this.#turnAway(place, refused.why, refused.limit ? 'LIMIT_REACHED' : undefined);
    const turn = this.#turns.ask(place, whileDown.queue, cut);
    if (typeof turn !== 'string') return turn;
    this.#admission.release(place);
    return this.#turnAway(place, turn);
  }

  #turnAway(place: string, why: string, code?: FailureCode): undefined {
    this.#burst.note('warn', `Closed a connection from ${place} to ${formatEndpoint(this.#bound)}: ${why}`, code);
  }

  #ended(connection: AcceptedConnection, place: string, outcome: Outcome): void {
    this.#admission.release(place);
    this.#connections.delete(connection);
    this.#finished.connections += 1;
    this.#finished.receivedBytes += connection.receivedBytes;
    this.#finished.sentBytes += connection.sentBytes;
    if (outcome.name === 'failed') this.#burst.note('warn', outcome.error.message, outcome.error.code);
    if (outcome.name === 'served') this.#context.onConnection(this.#record(connection, outcome.ending));
    this.#context.onChange();
    if (this.#connections.size === 0) this.#whenEmpty();
  }

  #record(connection: AcceptedConnection, ending: Extract<Outcome, { name: 'served' }>['ending']): ConnectionRecord {
    const { client, target, durationMs, receivedBytes, sentBytes } = connection;
    return {
      forward: this.#plan.name,
      client,
      target,
      durationMs,
      receivedBytes,
      sentBytes,
      ...(ending instanceof TunnelError ? { end: ending.code, reason: ending.message } : { end: ending }),
    };
  }

  #needChanged(): void {
    this.#health?.linkChanged();
    this.#context.onChange();
  }

  /** Nobody has used it for its idle time, or its lifetime is over. */
  #unneeded(why: 'idle' | 'lifetime'): void {
    this.#health?.linkChanged(); // a probe under way must not keep the link
    if (why === 'lifetime') {
      const span = formatDuration(this.#plan.demand?.lifetimeMs ?? 0);
      this.#cutWhere(() => true, `its lifetime of ${span} is over`);
    }
    this.#context.onChange();
  }

  #stopListening(): void {
    if (this.#listener === undefined) return;
    this.#listener.close();
    this.#listener = undefined;
    this.#context.onChange();
  }

  #cutAfter(drainMs: number): void {
    const cutAtMs = this.#context.clock.nowMs() + drainMs;
    if (cutAtMs >= this.#cutAtMs) return;
    this.#cutAtMs = cutAtMs;
    this.#cancelCut();
    if (drainMs <= 0) this.#cutWhere(() => true);
    else this.#cancelCut = this.#context.clock.after(drainMs, () => this.#cutWhere(() => true));
  }

  #cutWhere(chosen: (connection: AcceptedConnection) => boolean, why = 'the tunnel was stopped'): void {
    const reason = this.#closed(why);
    for (const connection of this.#connections) if (chosen(connection)) connection.cut(reason);
  }

  #closed(why: string): TunnelError {
    return new TunnelError('STOPPED', `Closed a connection to ${this.#route.label}: ${why}`);
  }

  async #drain(): Promise<void> {
    await this.#binding; // an attempt under way may still have the port
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    this.#cancelCut();
    this.#burst.flush();
    this.#need.end();
  }
}

function probeOf(
  { expect }: ForwardPlan,
  { probed, dial }: Route,
  wanted: () => boolean,
  context: ForwardContext,
): HealthWatch | undefined {
  if (expect === null || probed === null) return undefined;
  return new HealthWatch({ expectation: expect, target: probed, dial, wanted, context });
}

/** Which of our addresses the client connected to; a unix socket has none. */
function reachedOf({ localAddress, localPort }: Socket): Pick<Originator, 'reached'> {
  if (localAddress === undefined || localPort === undefined) return {};
  return { reached: { address: localAddress, port: localPort } };
}
