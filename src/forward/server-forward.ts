import type { RemoteListener } from '../link/carrier.ts';
import type { OnIncoming } from '../link/transport.ts';
import { formatEndpoint, isLoopback, type Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { ForwardPlan } from '../model/plan.ts';
import type { Outcome } from './accepted-connection.ts';
import { Admission } from './admission.ts';
import { Burst } from './burst.ts';
import { dialLocal } from './dial.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from './forward-context.ts';
import { HealthWatch } from './health-watch.ts';
import { IncomingConnection } from './incoming-connection.ts';
import type { Negotiate } from './route.ts';
import { firstRefusal, staleListener } from './server-refusal.ts';

/** Where the clients of a server's listener go: to one place, or each where it asks. */
export interface ServerRoute {
  readonly label: string;
  readonly goal: Endpoint | Negotiate;
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
  readonly #admission: Admission;
  readonly #burst: Burst;
  readonly #health: HealthWatch | undefined;
  readonly #connections = new Set<IncomingConnection>();
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
  #cutAtMs = Infinity;
  #cancelCut: () => void = () => undefined;
  #whenEmpty: () => void = () => undefined;
  readonly #finished = { connections: 0, receivedBytes: 0, sentBytes: 0 };

  constructor(plan: ForwardPlan, route: ServerRoute, context: ForwardContext) {
    this.#plan = plan;
    this.#route = route;
    this.#context = context;
    this.#settings = context;
    this.#bound = plan.bind;
    this.#admission = new Admission(plan.allow);
    this.#burst = new Burst(context.clock, (...note) => context.onNote(...note));
    const { expect: expectation } = plan;
    const { goal } = route;
    if (expectation === null || typeof goal === 'function') return;
    this.#health = new HealthWatch({
      expectation,
      target: goal,
      dial: (target, _originator, signal) => dialLocal(target, signal),
      wanted: () => true,
      context,
    });
  }

  get facts(): ForwardFacts {
    const { connections, receivedBytes, sentBytes } = this.#finished;
    const open = [...this.#connections];
    return {
      name: this.#plan.name,
      kind: this.#plan.kind,
      bind: formatEndpoint(this.#bound),
      target: this.#route.label,
      listening: this.#listening,
      error: this.#error,
      final: this.#error?.code === 'FORWARD_REFUSED' && !this.#everListened,
      health: this.#health?.health ?? null,
      openConnections: open.length,
      totalConnections: connections + open.length,
      receivedBytes: open.reduce((sum, connection) => sum + connection.receivedBytes, receivedBytes),
      sentBytes: open.reduce((sum, connection) => sum + connection.sentBytes, sentBytes),
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
    this.#cutAfter(drainMs);
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  #ask(): void {
    const { carrier } = this.#context;
    this.#error = null;
    this.#releaseNeed = carrier.need();
    this.#listener = carrier.listen(this.#plan.bind, (incoming) => this.#accept(incoming), {
      listening: (bound) => this.#listens(bound),
      lost: (error) => this.#lost(error),
    });
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
    const place = unix ? 'unix' : address;
    const refused = this.#closing
      ? { limit: false, why: 'the forward is closing' }
      : this.#admission.admit(place, this.#settings.limits);
    if (refused !== undefined) {
      incoming.refuse();
      const message = `Closed a connection from ${place} to ${formatEndpoint(this.#bound)}: ${refused.why}`;
      this.#burst.note('warn', message, refused.limit ? 'LIMIT_REACHED' : undefined);
      this.#finished.connections += 1;
      return this.#context.onChange();
    }
    const connection = new IncomingConnection({
      incoming,
      client: unix ? 'unix' : formatEndpoint({ kind: 'tcp', host: address, port }),
      goal: this.#route.goal,
      clock: this.#context.clock,
      withinMs: this.#settings.whileDown.holdMs,
    });
    this.#connections.add(connection);
    this.#context.onChange();
    void connection.run().then((outcome) => this.#ended(connection, place, outcome));
  }

  #ended(connection: IncomingConnection, place: string, outcome: Outcome): void {
    this.#admission.release(place);
    this.#connections.delete(connection);
    const { client, durationMs, receivedBytes, sentBytes, target = this.#route.label } = connection;
    this.#finished.connections += 1;
    this.#finished.receivedBytes += receivedBytes;
    this.#finished.sentBytes += sentBytes;
    if (outcome.name === 'failed') this.#burst.note('warn', outcome.error.message, outcome.error.code);
    if (outcome.name === 'served') {
      const { ending } = outcome;
      const end = ending instanceof TunnelError ? { end: ending.code, reason: ending.message } : { end: ending };
      this.#context.onConnection({
        forward: this.#plan.name,
        client,
        target,
        durationMs,
        receivedBytes,
        sentBytes,
        ...end,
      });
    }
    this.#context.onChange();
    if (this.#connections.size === 0) this.#whenEmpty();
  }

  #cutAfter(drainMs: number): void {
    const { clock } = this.#context;
    const cutAtMs = clock.nowMs() + drainMs;
    if (cutAtMs >= this.#cutAtMs) return;
    this.#cutAtMs = cutAtMs;
    this.#cancelCut();
    const cut = (): void => {
      const reason = new TunnelError('STOPPED', `Closed a connection to ${this.#route.label}: the tunnel was stopped`);
      for (const connection of this.#connections) connection.cut(reason);
    };
    if (drainMs <= 0) cut();
    else this.#cancelCut = clock.after(drainMs, cut);
  }

  async #drain(): Promise<void> {
    await this.#listener?.close();
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    this.#cancelCut();
    this.#burst.flush();
    this.#releaseNeed();
  }
}
