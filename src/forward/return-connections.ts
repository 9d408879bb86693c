import type { OnIncoming } from '../link/transport.ts';
import type { Clock } from '../model/clock.ts';
import { formatEndpoint, type TcpEndpoint } from '../model/endpoint.ts';
import { TunnelError } from '../model/failure.ts';
import type { ConnectionRecord } from '../model/status.ts';
import type { Burst } from './burst.ts';
import { ClientTurns } from './client-turns.ts';
import { Connections, type Counted, type Outcome } from './connections.ts';
import { Entrance } from './entrance.ts';
import type { ForwardFacts, ForwardSettings } from './forward-context.ts';
import { IncomingConnection } from './incoming-connection.ts';

export interface ReturnConnectionsParts {
  readonly forward: string;
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
  readonly #entrance: Entrance;
  readonly #connections: Connections<Led>;

  constructor(parts: ReturnConnectionsParts) {
    const { forward, clock, burst, onConnection, onChange } = parts;
    this.#parts = parts;
    this.#entrance = new Entrance({
      allow: null,
      turns: new ClientTurns('many'),
      burst,
      turnedAway: (from, why) => `Closed a return connection from ${from}: ${why}`,
    });
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
  lead(incoming: Incoming, client: TcpEndpoint): void {
    const { settings, clock } = this.#parts;
    const turn = this.#entrance.admit(incoming.originator.address, settings());
    if (turn === undefined) {
      incoming.refuse();
      return this.#connections.turnedAway();
    }
    const led = new Led(incoming, client, clock, settings().whileDown.holdMs);
    this.#connections.add(led);
    void led.run().then((outcome) => {
      this.#connections.ended(led, outcome);
      turn.leave();
    });
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

/** One of them, as the client who triggered sees it: what it receives comes from a caller, as with its other connections. */
class Led implements Counted {
  readonly client: string;
  readonly target: string;
  readonly #incoming: IncomingConnection;

  constructor(incoming: Incoming, client: TcpEndpoint, clock: Clock, withinMs: number) {
    this.client = formatEndpoint(client);
    this.target = formatEndpoint({ kind: 'tcp', host: incoming.originator.address, port: incoming.originator.port });
    const ends = { client: this.target, label: this.client, goal: client };
    this.#incoming = new IncomingConnection({ incoming, ...ends, clock, withinMs });
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
