import type { OnIncoming } from '../link/transport.ts';
import type { Clock } from '../model/clock.ts';
import { formatEndpoint, type TcpEndpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { ConnectionRecord } from '../model/status.ts';
import type { OnNote } from './burst.ts';
import { dialSocket } from './dial.ts';
import type { ForwardSettings } from './forward-context.ts';
import { Splice, type SpliceEnding } from './splice.ts';

export interface ReturnConnectionsParts {
  readonly forward: string;
  readonly clock: Clock;
  readonly settings: () => ForwardSettings;
  readonly onNote: OnNote;
  readonly onConnection: (record: ConnectionRecord) => void;
  /** One came or went. */
  readonly onChange: () => void;
}

type Incoming = Parameters<OnIncoming>[0];

interface Led {
  readonly abort: AbortController;
  splice: Splice | undefined;
}

/** Connections that came to a return port on the server, each led to the client that triggered. Owns their sockets. */
export class ReturnConnections {
  readonly #parts: ReturnConnectionsParts;
  readonly #open = new Set<Led>();
  readonly #finished = { connections: 0, receivedBytes: 0, sentBytes: 0 };
  #whenEmpty: (() => void)[] = [];

  constructor(parts: ReturnConnectionsParts) {
    this.#parts = parts;
  }

  /** `received` is what came to the client who triggered, as for its other connections. */
  get facts(): { openConnections: number; totalConnections: number; receivedBytes: number; sentBytes: number } {
    const { connections, receivedBytes, sentBytes } = this.#finished;
    const open = [...this.#open];
    return {
      openConnections: open.length,
      totalConnections: connections + open.length,
      receivedBytes: open.reduce((sum, { splice }) => sum + (splice?.fromChannelBytes ?? 0), receivedBytes),
      sentBytes: open.reduce((sum, { splice }) => sum + (splice?.fromSocketBytes ?? 0), sentBytes),
    };
  }

  /** Dials the client, and takes the connection only once it has answered: a refusal is passed on as such. */
  lead(incoming: Incoming, client: TcpEndpoint): void {
    const { connections } = this.#parts.settings().limits;
    if (this.#open.size >= connections) {
      incoming.refuse();
      const why = `${connections} connections are open (limits.connections)`;
      return this.#parts.onNote(
        'warn',
        `Closed a return connection to ${formatEndpoint(client)}: ${why}`,
        'LIMIT_REACHED',
      );
    }
    const led: Led = { abort: new AbortController(), splice: undefined };
    this.#open.add(led);
    this.#parts.onChange();
    void this.#run(led, incoming, client).finally(() => this.#gone(led));
  }

  /** Ends all of them now; their peers see a reset. */
  cut(why: string): void {
    const reason = new TunnelError('STOPPED', `Closed a return connection: ${why}`);
    for (const { abort, splice } of this.#open) {
      abort.abort(reason);
      splice?.cut(reason);
    }
  }

  /** Resolves once none is left. */
  async drained(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
  }

  async #run(led: Led, incoming: Incoming, client: TcpEndpoint): Promise<void> {
    const { clock, onNote, onConnection, forward } = this.#parts;
    const target = formatEndpoint({ kind: 'tcp', host: incoming.originator.address, port: incoming.originator.port });
    const startedMs = clock.nowMs();
    const socket = await this.#dial(led, client).catch((thrown: unknown) => {
      incoming.refuse();
      const { code, message } = asTunnelError(thrown);
      if (code !== 'STOPPED') onNote('warn', `Cannot lead a connection of ${target} back: ${message}`, code);
    });
    if (socket === undefined) return;
    const ending = await new Promise<SpliceEnding>((resolve) => {
      led.splice = new Splice(socket, incoming.accept(), resolve);
      led.splice.start();
    });
    onConnection({
      forward,
      client: formatEndpoint(client),
      target,
      durationMs: Math.round(clock.nowMs() - startedMs),
      receivedBytes: led.splice?.fromChannelBytes ?? 0,
      sentBytes: led.splice?.fromSocketBytes ?? 0,
      ...(ending instanceof TunnelError ? { end: ending.code, reason: ending.message } : { end: ending }),
    });
  }

  async #dial({ abort }: Led, client: TcpEndpoint) {
    const { clock, settings } = this.#parts;
    const { holdMs } = settings().whileDown;
    const where = formatEndpoint(client);
    const cancel = clock.after(holdMs, () =>
      abort.abort(new TunnelError('TIMED_OUT', `Cannot connect to ${where}: no answer within ${holdMs / 1_000} s`)),
    );
    try {
      return await dialSocket(client, abort.signal);
    } finally {
      cancel();
    }
  }

  #gone(led: Led): void {
    this.#open.delete(led);
    this.#finished.connections += 1;
    this.#finished.receivedBytes += led.splice?.fromChannelBytes ?? 0;
    this.#finished.sentBytes += led.splice?.fromSocketBytes ?? 0;
    this.#parts.onChange();
    if (this.#open.size === 0) this.#whenEmpty.splice(0).forEach((callback) => callback());
  }
}
