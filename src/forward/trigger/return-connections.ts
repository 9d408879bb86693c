import type { OnIncoming } from '../../link/transport.ts';
import type { Clock } from '../../model/clock.ts';
import { formatEndpoint, type TcpEndpoint } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import type { ReturnPortPlan } from '../../model/plan.ts';
import type { ConnectionRecord } from '../../model/status.ts';
import { AllowList, NOT_ALLOWED } from '../clients/allow-list.ts';
import type { Burst } from '../clients/burst.ts';
import { ClientTurns, type Turn } from '../clients/client-turns.ts';
import { Connections, type Counted, type Outcome } from '../clients/connections.ts';
import { Entrance } from '../clients/entrance.ts';
import type { ForwardFacts, ForwardSettings } from '../forward-context.ts';
import { IncomingConnection } from '../clients/incoming-connection.ts';

export interface ReturnConnectionsParts {
  readonly forward: string;
  readonly opens: readonly ReturnPortPlan[];
  readonly clock: Clock;
  readonly settings: () => ForwardSettings;
  readonly burst: Burst;
  readonly onConnection: (record: ConnectionRecord) => void;
  /** One came or went. */
  readonly onChange: () => void;
}

type Incoming = Parameters<OnIncoming>[0];

/** Connections that came to a return port on the server, each led to the client that triggered. */
export class ReturnConnections {
  readonly #parts: ReturnConnectionsParts;
  readonly #allowed: ReadonlyMap<ReturnPortPlan, AllowList>;
  readonly #entrance: Entrance;
  readonly #connections: Connections<Led>;

  constructor(parts: ReturnConnectionsParts) {
    const { forward, opens, clock, burst, onConnection, onChange } = parts;
    this.#parts = parts;
    this.#allowed = new Map(opens.map((port) => [port, new AllowList(port.allow)]));
    this.#entrance = new Entrance({ allow: null, turns: new ClientTurns('many'), burst, turnedAway });
    this.#connections = new Connections({
      forward,
      label: 'the client of a trigger',
      clock,
      burst,
      onConnection,
      onChange,
    });
  }

  get facts(): Pick<ForwardFacts, 'openConnections' | 'totalConnections' | 'receivedBytes' | 'sentBytes'> {
    return this.#connections.facts;
  }

  /** Dials the client, and takes the connection only once it has answered: a refusal is passed on as such. */
  lead(incoming: Incoming, host: string, port: ReturnPortPlan): void {
    const { settings, clock } = this.#parts;
    const turn = this.#admit(incoming.originator.address, port);
    if (turn === undefined) {
      incoming.refuse();
      return this.#connections.turnedAway();
    }
    const client: TcpEndpoint = { kind: 'tcp', host, port: port.clientPort };
    const led = new Led(incoming, client, clock, settings().whileDown.holdMs);
    this.#connections.add(led);
    void led.run().then((outcome) => {
      this.#connections.ended(led, outcome);
      turn.leave();
    });
  }

  #admit(from: string, port: ReturnPortPlan): Turn | undefined {
    const { burst, settings } = this.#parts;
    if (this.#allowed.get(port)?.has(from) === true) return this.#entrance.admit(from, settings());
    burst.note('warn', turnedAway(from, NOT_ALLOWED));
    return undefined;
  }

  /** Ends all of them now; their peers see a reset. */
  cut(why: string): void {
    this.#connections.cutWhere(() => true, why);
  }

  /** Those that are left by then are cut. */
  cutAfter(drainMs: number): void {
    this.#connections.cutAfter(drainMs);
  }

  /** Resolves once none is left. */
  drained(): Promise<void> {
    return this.#connections.drained();
  }
}

function turnedAway(from: string, why: string): string {
  return `Closed a return connection from ${from}: ${why}`;
}

/** One of them, as the client who triggered sees it: what it receives comes from a caller, as with its other connections. */
class Led implements Counted {
  readonly client: string;
  readonly target: string;
  readonly #incoming: IncomingConnection;

  constructor(incoming: Incoming, client: TcpEndpoint, clock: Clock, withinMs: number) {
    this.client = formatEndpoint(client);
    this.target = formatEndpoint({ kind: 'tcp', host: incoming.originator.address, port: incoming.originator.port });
    const ends = { client: this.target, label: this.client, goal: client };
    this.#incoming = new IncomingConnection({ incoming, ...ends, clock, withinMs, turn: null });
  }

  get durationMs(): number {
    return this.#incoming.durationMs;
  }

  get receivedBytes(): number {
    return this.#incoming.sentBytes;
  }

  get sentBytes(): number {
    return this.#incoming.receivedBytes;
  }

  cut(reason: TunnelError): void {
    this.#incoming.cut(reason);
  }

  async run(): Promise<Outcome> {
    const outcome = await this.#incoming.run();
    if (outcome.name !== 'failed') return outcome;
    const { code, message } = outcome.error;
    if (code === 'STOPPED') return { name: 'gone' }; // its ports were closed, and whoever did that has said so
    const error = new TunnelError(code, `Cannot lead a connection of ${this.target} back: ${message}`);
    return { name: 'failed', error };
  }
}
