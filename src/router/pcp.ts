import type { Clock } from '../model/clock.ts';
import type { Gateway, Grant, Look, MapAsk, MappingProtocol } from './mapping-protocol.ts';
import { decodePcp, encodePcpAnnounce, encodePcpMap, type PcpResponse } from './pcp-codec.ts';
import { notSpoken, pcpReason, refused } from './router-refusal.ts';
import { exchange, PORT_MAPPING_PORT } from './udp-exchange.ts';

export interface PcpParts {
  readonly clock: Clock;
  /** The same for the same mapping, over restarts of ours too: without it the router would take us for a stranger. */
  readonly nonce: (gateway: Gateway, ask: Pick<MapAsk, 'protocol' | 'internalPort'>) => Promise<Buffer>;
  readonly port?: number;
}

type MapResponse = Extract<PcpResponse, { opcode: 'map' }>;
type OtherVersion = Extract<PcpResponse, { opcode: 'none' }>;

/** RFC 6887: the one that grants another port where the wished one is taken, and tells restarts. */
export class Pcp implements MappingProtocol {
  readonly way = 'PCP';
  readonly #parts: PcpParts;

  constructor(parts: PcpParts) {
    this.#parts = parts;
  }

  async map(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<Grant> {
    const response = await this.#map(ask, gateway, signal);
    const { result, externalHost, externalPort, lifetimeSeconds, epochSeconds } = response;
    if (result !== 0) throw refused(pcpReason(result), ask, gateway, { way: 'PCP', code: result });
    if (externalHost === null) throw notSpoken('PCP', gateway, 'it granted an address that is not IPv4');
    return { externalHost, externalPort, leaseSeconds: lifetimeSeconds, epochSeconds };
  }

  async unmap(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<void> {
    const { result } = await this.#map({ ...ask, externalPort: 0, leaseSeconds: 0 }, gateway, signal);
    if (result !== 0) throw refused(pcpReason(result), ask, gateway, { way: 'PCP', code: result });
  }

  async look(_held: MapAsk | null, gateway: Gateway, signal: AbortSignal): Promise<Look> {
    const response = await this.#exchange(encodePcpAnnounce(gateway.local), gateway, signal, (answer) => {
      return answer.opcode === 'announce' ? answer : undefined;
    });
    if (response.result !== 0) throw notSpoken('PCP', gateway, `it answers with result ${response.result}`);
    return { externalHost: null, epochSeconds: response.epochSeconds, held: null };
  }

  async #map(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<MapResponse> {
    const { protocol, internalPort, externalPort, leaseSeconds } = ask;
    const nonce = await this.#parts.nonce(gateway, ask);
    const client = gateway.local;
    const asked = { client, nonce, protocol, internalPort, externalPort, lifetimeSeconds: leaseSeconds };
    return this.#exchange(encodePcpMap(asked), gateway, signal, (answer) => {
      if (answer.opcode !== 'map' || !answer.nonce.equals(nonce)) return undefined;
      return answer.protocol === protocol && answer.internalPort === internalPort ? answer : undefined;
    });
  }

  async #exchange<Answer>(
    message: Buffer,
    gateway: Gateway,
    signal: AbortSignal,
    choose: (response: PcpResponse) => Answer | undefined,
  ): Promise<Answer> {
    const read = (bytes: Buffer): Answer | OtherVersion | undefined => {
      const response = decodePcp(bytes);
      return response?.opcode === 'none' ? response : response && choose(response);
    };
    const { clock, port = PORT_MAPPING_PORT } = this.#parts;
    const answer = await exchange({ gateway, port, message, read, clock, signal });
    if (answer === undefined) throw notSpoken('PCP', gateway);
    if (isOtherVersion(answer)) throw notSpoken('PCP', gateway, 'it speaks another version');
    return answer;
  }
}

function isOtherVersion(answer: unknown): answer is OtherVersion {
  return typeof answer === 'object' && answer !== null && 'opcode' in answer && answer.opcode === 'none';
}
