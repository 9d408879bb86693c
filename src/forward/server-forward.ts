import type { ListenWatch, RemoteListener } from '../link/carrier.ts';
import type { OnIncoming } from '../link/transport.ts';
import { formatEndpoint, isLoopback, type Endpoint } from '../model/endpoint.ts';
import type { TunnelError } from '../model/failure.ts';
import { asTunnelError } from '../model/failure.ts';
import type { ForwardPlan } from '../model/plan.ts';
import { Burst } from './clients/burst.ts';
import { ClientTurns, type Turn } from './clients/client-turns.ts';
import { Connections } from './clients/connections.ts';
import { dialLocal } from './reach/dial.ts';
import { Entrance } from './clients/entrance.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from './forward-context.ts';
import { HealthWatch } from './reach/health-watch.ts';
import { IncomingConnection } from './clients/incoming-connection.ts';
import type { Negotiate } from './reach/route.ts';
import { firstRefusal, staleListener } from './server-refusal.ts';

/** Where the clients of a server's listener go: to one place, or each where it asks. */
export interface ServerRoute {
  readonly label: string;
  readonly goal: Endpoint | Negotiate;
  /** Whom a health probe asks; null asks nobody. */
  readonly probed: Endpoint | null;
  /** Rejects while nobody could be served; asked before the server is. */
  ready?(): Promise<void>;
}

/** What keeps a proxy from being ready (a keychain that is locked) changes by a person's hand. */
const READY_AGAIN_MS = 10_000;

/** A forward whose clients come to the SSH server, which listens for us; we reach the target. */
export class ServerForward implements Forward {
  readonly #plan: ForwardPlan;
  readonly #route: ServerRoute;
  readonly #context: ForwardContext;
  readonly #burst: Burst;
  readonly #entrance: Entrance;
  readonly #connections: Connections<IncomingConnection>;
  readonly #health: HealthWatch | undefined;
  #settings: ForwardSettings;
  #listener: RemoteListener | undefined;
  #bound: Endpoint;
  #listening = false;
  #everListened = false;
  #error: TunnelError | null = null;
  #closing = false;
  #cancelReady: () => void = () => undefined;
  #releaseNeed: () => void = () => undefined;
  #drained: Promise<void> | undefined;

  constructor(plan: ForwardPlan, route: ServerRoute, context: ForwardContext) {
    this.#plan = plan;
    this.#route = route;
    this.#context = context;
    this.#settings = context;
    this.#bound = plan.bind;
    this.#burst = new Burst(context.clock, (...note) => context.onNote(...note));
    this.#entrance = new Entrance({
      allow: plan.allow,
      turns: new ClientTurns(plan.clients),
      burst: this.#burst,
      turnedAway: (from, why) => this.#turnedAway(from, why),
    });
    this.#connections = new Connections({
      forward: plan.name,
      label: route.label,
      clock: context.clock,
      burst: this.#burst,
      onConnection: (record) => context.onConnection(record),
      onChange: () => context.onChange(),
    });
    const { expect: expectation } = plan;
    const { probed } = route;
    if (expectation === null || probed === null) return;
    this.#health = new HealthWatch({
      expectation,
      target: probed,
      dial: (target, _originator, signal) => dialLocal(target, signal),
      wanted: () => true,
      context,
    });
  }

  get facts(): ForwardFacts {
    return {
      name: this.#plan.name,
      kind: this.#plan.kind,
      bind: formatEndpoint(this.#bound),
      target: this.#route.label,
      listening: this.#listening,
      error: this.#error,
      final: this.#error?.code === 'FORWARD_REFUSED' && !this.#everListened,
      ...(this.#health?.facts ?? { health: null }),
      ...this.#connections.facts,
    };
  }

  async start(): Promise<void> {
    try {
      await this.#route.ready?.();
      if (!this.#closing) this.#ask();
    } catch (thrown) {
      if (this.#closing) return;
      this.#failed(asTunnelError(thrown));
      this.#cancelReady = this.#context.clock.after(READY_AGAIN_MS, () => void this.start());
    }
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
    this.#cancelReady();
    this.#health?.close();
    this.#listening = false;
    this.#connections.cutWhere(({ queued }) => queued); // nothing to wait for
    this.#connections.cutAfter(drainMs);
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  #ask(): void {
    const { carrier, serverBind } = this.#context;
    this.#error = null;
    this.#everListened ||= serverBind !== undefined;
    this.#releaseNeed = carrier.need();
    const watch: ListenWatch = { listening: (bound) => this.#listens(bound), lost: (error) => this.#lost(error) };
    this.#listener = carrier.listen(this.#plan.bind, (incoming) => this.#accept(incoming), watch, serverBind);
    this.#health?.start();
    this.#context.onChange();
  }

  #listens(bound: Endpoint): void {
    if (this.#closing) return;
    const at = formatEndpoint(bound);
    if (!this.#everListened && !isLoopback(bound)) {
      this.#context.onNote(
        'info',
        `The server listens at ${at} if its GatewayPorts allows it, else on its loopback alone`,
      );
    }
    if (this.#error !== null) this.#context.onNote('info', `The server listens at ${at} again`);
    this.#bound = bound;
    this.#listening = true;
    this.#everListened = true;
    this.#error = null;
    this.#context.onChange();
  }

  #lost(error: TunnelError): void {
    if (this.#closing) return;
    this.#listening = false;
    if (error.code === 'FORWARD_REFUSED') {
      const { bind } = this.#plan;
      this.#failed(this.#everListened ? staleListener(bind, error) : firstRefusal(bind, error));
    } else if (error.code === 'TIMED_OUT') this.#failed(error);
    else this.#context.onChange(); // the link's own trouble, which its tunnel tells
  }

  #failed(error: TunnelError): void {
    if (this.#error?.message !== error.message) this.#context.onNote('error', error.message, error.code);
    this.#error = error;
    this.#context.onChange();
  }

  #accept(incoming: Parameters<OnIncoming>[0]): void {
    const { address, port } = incoming.originator;
    const unix = this.#plan.bind.kind === 'unix';
    let connection: IncomingConnection | undefined = undefined;
    const cut = (why: string): void => this.#connections.cutWhere((one) => one === connection, why);
    const turn = this.#admit(unix ? 'unix' : address, cut);
    if (turn === undefined) {
      incoming.refuse();
      return this.#connections.turnedAway();
    }
    connection = new IncomingConnection({
      incoming,
      client: unix ? 'unix' : formatEndpoint({ kind: 'tcp', host: address, port }),
      label: this.#route.label,
      goal: this.#route.goal,
      clock: this.#context.clock,
      withinMs: this.#settings.whileDown.holdMs,
      turn: turn.come,
    });
    this.#run(connection, turn);
  }

  #run(connection: IncomingConnection, turn: Turn): void {
    this.#connections.add(connection);
    void connection.run().then((outcome) => {
      this.#connections.ended(connection, outcome);
      turn.leave();
    });
  }

  #admit(from: string, cut: (why: string) => void): Turn | undefined {
    if (!this.#closing) return this.#entrance.admit(from, this.#settings, cut);
    this.#burst.note('warn', this.#turnedAway(from, 'the forward is closing'));
    return undefined;
  }

  #turnedAway(from: string, why: string): string {
    return `Closed a connection from ${from} to ${formatEndpoint(this.#bound)}: ${why}`;
  }

  async #drain(): Promise<void> {
    await this.#listener?.close();
    await this.#connections.drained();
    this.#burst.flush();
    this.#releaseNeed();
  }
}
