import { TunnelError } from '../../src/model/failure.ts';
import type { KeptMapping, MappingListener } from '../../src/model/mapping.ts';
import type { Gateway, Grant, Look, MapAsk, MappingProtocol } from '../../src/router/mapping-protocol.ts';
import { Router } from '../../src/router/router.ts';
import { FakeClock } from './fake-clock.ts';

/** A router that does what a test says, and the mappings of a `Router` that asks it, on a clock of the test's own. */
export class ScriptedRouter implements MappingProtocol {
  readonly way = 'PCP';
  readonly clock = new FakeClock();
  /** Every request, in order: `map 80 7200`, `unmap 80`, `look`. */
  readonly asked: string[] = [];
  readonly notes: string[] = [];
  gateway: Gateway | undefined = { address: '192.168.7.1', local: '192.168.7.2' };
  host = '12.34.56.78';
  leaseSeconds: number | null = 7_200;
  /** Grants this port in place of the one that is asked for. */
  otherPort: number | undefined;
  held: boolean | null = null;
  /** Why it does nothing now. */
  refuses: TunnelError | undefined;
  /** Holds each answer back until it resolves. */
  gate: Promise<void> | undefined;
  #startedMs = -1_000_000;
  readonly router = new Router({
    clock: this.clock,
    random: () => 0,
    findGateway: () =>
      this.gateway === undefined
        ? Promise.reject(new TunnelError('ROUTER_NOT_FOUND', 'no gateway'))
        : Promise.resolve(this.gateway),
    protocols: [this],
    leaseSeconds: 7_200,
  });

  /** Forgets every mapping, as after a loss of power. */
  restart(): void {
    this.#startedMs = this.clock.nowMs();
  }

  /** Asks for port 80 of it, for a port here. */
  keep(listener: Partial<MappingListener> = {}, internalPort = 8080): KeptMapping {
    const request = {
      protocol: 'tcp',
      externalPort: 80,
      internalPort,
      internalHost: null,
      description: 'test',
    } as const;
    return this.router.keep(request, {
      onChange: () => undefined,
      onNote: (level, message) => void this.notes.push(`${level} ${message}`),
      ...listener,
    });
  }

  async map(ask: MapAsk): Promise<Grant> {
    this.asked.push(`map ${ask.externalPort}`);
    await this.gate;
    if (this.refuses !== undefined) throw this.refuses;
    const externalPort = this.otherPort ?? ask.externalPort;
    return { externalHost: this.host, externalPort, leaseSeconds: this.leaseSeconds, epochSeconds: this.#epoch };
  }

  unmap(ask: MapAsk): Promise<void> {
    this.asked.push(`unmap ${ask.externalPort}`);
    return this.refuses === undefined ? Promise.resolve() : Promise.reject(this.refuses);
  }

  look(): Promise<Look> {
    this.asked.push('look');
    if (this.refuses !== undefined) return Promise.reject(this.refuses);
    return Promise.resolve({ externalHost: this.host, epochSeconds: this.#epoch, held: this.held });
  }

  get #epoch(): number {
    return Math.floor((this.clock.nowMs() - this.#startedMs) / 1_000);
  }
}

export const REFUSED = new TunnelError('ROUTER_REFUSED', 'Cannot map port 80 (TCP): no');
export const SILENT = new TunnelError('ROUTER_NOT_FOUND', 'Cannot ask the router: no answer');
