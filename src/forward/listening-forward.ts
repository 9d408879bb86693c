import type { Socket } from 'node:net';
import { formatDuration } from '../model/duration.ts';
import type { Originator } from '../link/transport.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import type { ForwardPlan } from '../model/plan.ts';
import { AcceptedConnection } from './clients/accepted-connection.ts';
import { Binding } from './listen/binding.ts';
import { Burst } from './clients/burst.ts';
import { ClientTurns, type Turn } from './clients/client-turns.ts';
import { Connections } from './clients/connections.ts';
import { Entrance } from './clients/entrance.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings, HealthSource } from './forward-context.ts';
import { HealthWatch } from './reach/health-watch.ts';
import { LinkNeed } from './link-need.ts';
import { listen, type Listener } from './listen/listener.ts';
import type { Route } from './reach/route.ts';
import { wideReadsAreKnown } from './splice/wide-reads.ts';

/** RFC 4254 section 7.2 wants an address; a unix socket's peer has none. The values OpenSSH sends in its place. */
const NO_ADDRESS = { address: '127.0.0.1', port: 65_535 };

/** A forward whose clients come to a listener of ours: binds, keeps the listener, and gives each client its route. */
export class ListeningForward implements Forward {
  readonly #plan: ForwardPlan;
  readonly #route: Route;
  readonly #context: ForwardContext;
  readonly #entrance: Entrance;
  readonly #burst: Burst;
  readonly #need: LinkNeed;
  readonly #health: HealthSource | undefined;
  readonly #connections: Connections<AcceptedConnection>;
  readonly #binding: Binding<Listener>;
  #settings: ForwardSettings;
  #drained: Promise<void> | undefined;

  /** @param turns shared with others who keep a client's turn for it */
  constructor(plan: ForwardPlan, route: Route, context: ForwardContext, turns = new ClientTurns(plan.clients)) {
    const { clock } = context;
    this.#plan = plan;
    this.#route = route;
    this.#context = context;
    this.#settings = context;
    this.#burst = new Burst(clock, (...note) => context.onNote(...note));
    this.#entrance = new Entrance({
      allow: plan.allow,
      turns,
      burst: this.#burst,
      turnedAway: (from, why) => `Closed a connection from ${from} to ${formatEndpoint(this.#bound)}: ${why}`,
    });
    this.#connections = new Connections({
      forward: plan.name,
      label: route.label,
      clock,
      burst: this.#burst,
      onConnection: (record) => context.onConnection(record),
      onChange: () => context.onChange(),
    });
    this.#binding = new Binding({
      ready: () => route.ready?.() ?? Promise.resolve(),
      bind: (nameHolder) => this.#listen(nameHolder),
      clock,
      onBound: (listener) => this.#listening(listener),
      onNote: (...note) => context.onNote(...note),
      onChange: () => context.onChange(),
    });
    this.#need = new LinkNeed(plan.demand, {
      carrier: context.carrier,
      clock,
      onChange: () => this.#needChanged(),
      onClose: (why) => this.#unneeded(why),
    });
    this.#health = route.health ?? probeOf(plan, route, () => this.#need.open, context);
  }

  get facts(): ForwardFacts {
    const demand = this.#need.facts;
    return {
      name: this.#plan.name,
      kind: this.#plan.kind,
      bind: formatEndpoint(this.#bound),
      target: this.#route.label,
      listening: this.#binding.listener !== undefined,
      error: this.#binding.error,
      ...(this.#health?.facts ?? { health: null }),
      ...this.#connections.facts,
      ...(demand === undefined ? {} : { demand }),
    };
  }

  start(): Promise<void> {
    if (!wideReadsAreKnown) this.#context.onNote('info', 'Another Node than 20 to 24: uploads cost more');
    return this.#binding.start();
  }

  linkChanged(): void {
    this.#health?.linkChanged();
  }

  update(settings: ForwardSettings): void {
    this.#settings = settings;
    this.#health?.update(settings.probe);
  }

  close(drainMs: number, held: 'cut' | 'serve' = 'cut'): Promise<void> {
    const unbound = this.#binding.close();
    this.#health?.close();
    const { up } = this.#context.carrier;
    if (held === 'cut') this.#connections.cutWhere(({ queued, served }) => queued || (!up && !served)); // nothing to wait for
    this.#connections.cutAfter(drainMs);
    this.#drained ??= this.#drain(unbound);
    return this.#drained;
  }

  get #bound(): Endpoint {
    return this.#binding.listener?.bound ?? this.#plan.bind;
  }

  #listen(nameHolder: boolean): Promise<Listener> {
    const { preferredPort, sockets } = this.#context;
    const { bind, access } = this.#plan;
    return listen({
      bind,
      ...(access === undefined ? {} : { access }),
      ...(sockets === undefined ? {} : { sockets }),
      ...(preferredPort === undefined ? {} : { preferredPort }),
      nameHolder,
      onSocket: (socket) => this.#accept(socket),
      onAcceptError: ({ code, message }) => {
        const where = formatEndpoint(this.#bound);
        const why = code === 'EMFILE' ? 'Too many open files; raise `ulimit -n`' : message;
        this.#burst.note('error', `Cannot accept a connection at ${where}: ${why}`);
      },
      onNote: (message) => this.#context.onNote('warn', message),
    });
  }

  #listening({ bound }: Listener): void {
    // Only now: no login to the server for a port that nobody can use.
    this.#need.begin();
    if (bound.kind === 'tcp') this.#context.onBound(bound.port);
    this.#health?.start();
  }

  #accept(socket: Socket): void {
    const unix = this.#plan.bind.kind === 'unix';
    const { remoteAddress, remotePort } = socket;
    if (!unix && (remoteAddress === undefined || remotePort === undefined)) return void socket.destroy(); // reset already
    const originator = new AcceptedOriginator(socket, remoteAddress, remotePort);
    const client = unix ? 'unix' : formatEndpoint({ kind: 'tcp', host: originator.address, port: originator.port });
    const place = unix ? 'unix' : originator.address;
    let connection: AcceptedConnection | undefined = undefined;
    const turn = this.#admit(place, (why) => this.#connections.cutWhere((one) => one === connection, why));
    if (turn === undefined) {
      socket.destroy();
      return this.#connections.turnedAway();
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
    this.#run(connection, turn);
  }

  #run(connection: AcceptedConnection, turn: Turn): void {
    this.#connections.add(connection);
    const leave = this.#need.enter();
    void connection.run().then((outcome) => {
      this.#connections.ended(connection, outcome);
      turn.leave();
      leave();
    });
  }

  /** @returns undefined where it is turned away, and the reason told */
  #admit(place: string, cut: (why: string) => void): Turn | undefined {
    // On demand the link may be down because nobody has used it so far: the carrier tells that from an outage.
    if (!this.#settings.whileDown.hold && !this.#context.carrier.up && this.#plan.demand === null) {
      this.#burst.note('warn', `Cannot reach ${this.#route.label}: the SSH connection is down`, 'HOLD_EXPIRED');
      return undefined;
    }
    return this.#entrance.admit(place, this.#settings, cut);
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
      this.#connections.cutWhere(() => true, `its lifetime of ${span} is over`);
    }
    this.#context.onChange();
  }

  async #drain(unbound: Promise<void>): Promise<void> {
    await unbound; // an attempt under way may still have the port
    await this.#connections.drained();
    this.#burst.flush();
    this.#need.end();
  }
}

function probeOf(
  { expect }: ForwardPlan,
  { probed }: Route,
  wanted: () => boolean,
  context: ForwardContext,
): HealthWatch | undefined {
  if (expect === null || probed === null) return undefined;
  return new HealthWatch({ expectation: expect, ...probed, wanted, context });
}

class AcceptedOriginator implements Originator {
  readonly address: string;
  readonly port: number;
  readonly #socket: Socket;

  constructor(socket: Socket, address: string = NO_ADDRESS.address, port: number = NO_ADDRESS.port) {
    this.#socket = socket;
    this.address = address;
    this.port = port;
  }

  /** Which of our addresses the client connected to; a unix socket has none. A system call, and only a relay asks. */
  get reached(): Originator['reached'] {
    const { localAddress, localPort } = this.#socket;
    if (localAddress === undefined || localPort === undefined) return undefined;
    return { address: localAddress, port: localPort };
  }
}
