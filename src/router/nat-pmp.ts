import type { Clock } from '../model/clock.ts';
import type { Gateway, Grant, Look, MapAsk, MappingProtocol } from './mapping-protocol.ts';
import {
  decodeNatPmp,
  encodeNatPmpAddress,
  encodeNatPmpMap,
  type NatPmpMapRequest,
  type NatPmpResponse,
} from './nat-pmp-codec.ts';
import { natPmpReason, notSpoken, refused } from './router-refusal.ts';
import { exchange, PORT_MAPPING_PORT } from './udp-exchange.ts';

/** Section 3.5: it speaks no version that we sent. */
const UNSUPPORTED_VERSION = 1;

export interface NatPmpParts {
  readonly clock: Clock;
  readonly port?: number;
}

/** RFC 6886: PCP's older sister, on the same port. A mapping and the address are asked for one after the other. */
export class NatPmp implements MappingProtocol {
  readonly way = 'NAT-PMP';
  readonly #parts: NatPmpParts;

  constructor(parts: NatPmpParts) {
    this.#parts = parts;
  }

  async map(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<Grant> {
    const { protocol, internalPort, externalPort, leaseSeconds: lifetimeSeconds } = ask;
    const asked = { protocol, internalPort, externalPort, lifetimeSeconds };
    const mapped = await this.#map(asked, ask, gateway, signal);
    const address = await this.#address(ask, gateway, signal);
    return {
      externalHost: address.externalHost,
      externalPort: mapped.externalPort,
      leaseSeconds: mapped.lifetimeSeconds,
      epochSeconds: address.epochSeconds,
    };
  }

  async unmap(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<void> {
    const { protocol, internalPort } = ask;
    await this.#map({ protocol, internalPort, externalPort: 0, lifetimeSeconds: 0 }, ask, gateway, signal);
  }

  async look(held: MapAsk | null, gateway: Gateway, signal: AbortSignal): Promise<Look> {
    const { externalHost, epochSeconds } = await this.#address(held ?? NOTHING_ASKED, gateway, signal);
    return { externalHost, epochSeconds, held: null };
  }

  async #map(asked: NatPmpMapRequest, ask: MapAsk, gateway: Gateway, signal: AbortSignal) {
    const response = await this.#exchange(encodeNatPmpMap(asked), gateway, signal, (answer) => {
      if (answer.opcode === 'refused') return answer.protocol === asked.protocol ? answer : undefined;
      if (answer.opcode !== 'map' || answer.protocol !== asked.protocol) return undefined;
      return answer.internalPort === asked.internalPort ? answer : undefined;
    });
    if (response.opcode === 'map') return response;
    throw refusal(response.result, ask, gateway);
  }

  async #address(ask: Pick<MapAsk, 'protocol' | 'externalPort'>, gateway: Gateway, signal: AbortSignal) {
    const response = await this.#exchange(encodeNatPmpAddress(), gateway, signal, (answer) => {
      if (answer.opcode === 'address') return answer;
      return answer.opcode === 'refused' && answer.protocol === null ? answer : undefined;
    });
    if (response.opcode === 'address') return response;
    throw refusal(response.result, ask, gateway);
  }

  async #exchange<Answer extends NatPmpResponse>(
    message: Buffer,
    gateway: Gateway,
    signal: AbortSignal,
    choose: (response: NatPmpResponse) => Answer | undefined,
  ): Promise<Answer> {
    const read = (bytes: Buffer): Answer | undefined => {
      const response = decodeNatPmp(bytes);
      return response && choose(response);
    };
    const { clock, port = PORT_MAPPING_PORT } = this.#parts;
    const answer = await exchange({ gateway, port, message, read, clock, signal });
    if (answer === undefined) throw notSpoken('NAT-PMP', gateway);
    return answer;
  }
}

const NOTHING_ASKED = { protocol: 'tcp', externalPort: 0 } as const;

function refusal(result: number, ask: Pick<MapAsk, 'protocol' | 'externalPort'>, gateway: Gateway) {
  if (result === UNSUPPORTED_VERSION) return notSpoken('NAT-PMP', gateway, 'it speaks another version');
  return refused(natPmpReason(result), ask, gateway, { way: 'NAT-PMP', code: result });
}
