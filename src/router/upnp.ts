import { isIPv4 } from 'node:net';
import type { Clock } from '../model/clock.ts';
import { cleanLine } from '../model/clean.ts';
import type { ListedMapping } from '../model/mapping.ts';
import type { Gateway, Grant, Look, MapAsk, MappingProtocol } from './mapping-protocol.ts';
import { refused, upnpReason } from './router-refusal.ts';
import { UpnpControl, type Args } from './upnp-control.ts';

/** UPnP WANIPConnection section 2.5. */
const ONLY_PERMANENT_LEASES = 725;
const SAME_PORT_NEEDED = 724;
const CONFLICT = 718;
const NO_SUCH_ENTRY = 714;
const INDEX_BEYOND_END = 713;
/** Version 1 grants no other port by itself: so many are tried, from where nobody's service lives (RFC 6335 section 6). */
const OTHER_PORTS = 3;
const FIRST_DYNAMIC_PORT = 49_152;
/** Pages of a list: a router has some dozens of mappings at the most. */
const MOST_LISTED = 256;

export interface UpnpParts {
  readonly clock: Clock;
  /** A random number in [0, 1). */
  readonly random: () => number;
  readonly ssdpPort?: number;
}

/** UPnP's Internet Gateway Device, versions 1 and 2: the one that home routers know best, and that has a list. */
export class Upnp implements MappingProtocol {
  readonly way = 'UPnP';
  readonly #control: UpnpControl;
  readonly #random: () => number;

  constructor({ random, ...parts }: UpnpParts) {
    this.#control = new UpnpControl(parts);
    this.#random = random;
  }

  async map(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<Grant> {
    this.#control.forget(gateway);
    const { type } = await this.#control.service(gateway, signal);
    const granted = type.endsWith('WANIPConnection:2')
      ? await this.#addAny(ask, gateway, signal)
      : await this.#add(ask, gateway, signal);
    return { ...granted, externalHost: await this.#externalHost(ask, gateway, signal), epochSeconds: null };
  }

  async unmap(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<void> {
    if (!(await this.#holds(ask, gateway, signal))) return; // it may be somebody else's by now
    const response = await this.#control.call('DeletePortMapping', keyOf(ask), gateway, signal);
    if (response.kind === 'fault' && response.code !== NO_SUCH_ENTRY) throw refusal(response.code, ask, gateway);
  }

  async look(held: MapAsk | null, gateway: Gateway, signal: AbortSignal): Promise<Look> {
    const externalHost = await this.#externalHost(held ?? NOTHING_ASKED, gateway, signal);
    return {
      externalHost,
      epochSeconds: null,
      held: held === null ? null : await this.#holds(held, gateway, signal),
    };
  }

  /** Every mapping of the router, whoever asked for it, as far as it tells. */
  async list(gateway: Gateway, signal: AbortSignal): Promise<readonly ListedMapping[]> {
    const listed: ListedMapping[] = [];
    for (let index = 0; index < MOST_LISTED; index += 1) {
      const args: Args = [['NewPortMappingIndex', index]];
      const response = await this.#control.call('GetGenericPortMappingEntry', args, gateway, signal);
      if (response.kind === 'fault') {
        if ([INDEX_BEYOND_END, NO_SUCH_ENTRY].includes(response.code) || index > 0) return listed;
        throw refusal(response.code, NOTHING_ASKED, gateway);
      }
      listed.push(listedMapping(response.values));
    }
    return listed;
  }

  /** Version 2: the router chooses another port where this one is taken. */
  async #addAny(
    ask: MapAsk,
    gateway: Gateway,
    signal: AbortSignal,
  ): Promise<Omit<Grant, 'externalHost' | 'epochSeconds'>> {
    const response = await this.#control.call('AddAnyPortMapping', mappingOf(ask, gateway), gateway, signal);
    if (response.kind === 'fault') {
      if (response.code === ONLY_PERMANENT_LEASES && ask.leaseSeconds > 0) {
        return this.#addAny({ ...ask, leaseSeconds: 0 }, gateway, signal);
      }
      throw refusal(response.code, ask, gateway);
    }
    const externalPort = portIn(response.values.get('NewReservedPort')) ?? ask.externalPort;
    return { externalPort, leaseSeconds: leaseOf(ask) };
  }

  async #add(
    ask: MapAsk,
    gateway: Gateway,
    signal: AbortSignal,
  ): Promise<Omit<Grant, 'externalHost' | 'epochSeconds'>> {
    let wanted = ask;
    for (let others = 0; ;) {
      const response = await this.#control.call('AddPortMapping', mappingOf(wanted, gateway), gateway, signal);
      if (response.kind === 'answer') return { externalPort: wanted.externalPort, leaseSeconds: leaseOf(wanted) };
      const next = this.#otherwise(wanted, response.code);
      const another = next !== undefined && next.externalPort !== wanted.externalPort;
      others += another ? 1 : 0;
      if (next === undefined || others > OTHER_PORTS) throw refusal(response.code, ask, gateway);
      wanted = next;
    }
  }

  /** What a router of version 1 may grant in place of what it refused with that code. */
  #otherwise(ask: MapAsk, code: number): MapAsk | undefined {
    switch (code) {
      case ONLY_PERMANENT_LEASES:
        return ask.leaseSeconds > 0 ? { ...ask, leaseSeconds: 0 } : undefined;
      case SAME_PORT_NEEDED:
        return ask.externalPort === ask.internalPort ? undefined : { ...ask, externalPort: ask.internalPort };
      case CONFLICT: {
        const span = 65_536 - FIRST_DYNAMIC_PORT;
        return { ...ask, externalPort: FIRST_DYNAMIC_PORT + Math.floor(this.#random() * span) };
      }
      default:
        return undefined;
    }
  }

  /** @throws ROUTER_REFUSED where the router is not online */
  async #externalHost(wish: Wish, gateway: Gateway, signal: AbortSignal): Promise<string> {
    const response = await this.#control.call('GetExternalIPAddress', [], gateway, signal);
    const address = response.kind === 'answer' ? (response.values.get('NewExternalIPAddress') ?? '') : '';
    if (isIPv4(address) && address !== '0.0.0.0') return address;
    const code = response.kind === 'fault' ? response.code : 0;
    throw refused('no-address', wish, gateway, { way: 'UPnP', code });
  }

  /** Whether the port leads to us. A router that does not know the question is believed to. */
  async #holds(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<boolean> {
    const response = await this.#control.call('GetSpecificPortMappingEntry', keyOf(ask), gateway, signal);
    if (response.kind === 'fault') return response.code !== NO_SUCH_ENTRY;
    const { values } = response;
    return (
      values.get('NewInternalClient') === gateway.local && portIn(values.get('NewInternalPort')) === ask.internalPort
    );
  }
}

type Wish = Pick<MapAsk, 'protocol' | 'externalPort'>;
const NOTHING_ASKED: Wish = { protocol: 'tcp', externalPort: 0 };

function refusal(code: number, wish: Wish, gateway: Gateway) {
  return refused(upnpReason(code), wish, gateway, { way: 'UPnP', code });
}

/** What names a mapping: from any host, to that port. */
function keyOf({ externalPort, protocol }: Wish): Args {
  return [
    ['NewRemoteHost', ''],
    ['NewExternalPort', externalPort],
    ['NewProtocol', protocol.toUpperCase()],
  ];
}

function mappingOf(ask: MapAsk, { local }: Gateway): Args {
  return [
    ...keyOf(ask),
    ['NewInternalPort', ask.internalPort],
    ['NewInternalClient', local],
    ['NewEnabled', 1],
    ['NewPortMappingDescription', ask.description],
    ['NewLeaseDuration', ask.leaseSeconds],
  ];
}

function leaseOf({ leaseSeconds }: MapAsk): number | null {
  return leaseSeconds === 0 ? null : leaseSeconds;
}

function listedMapping(values: ReadonlyMap<string, string>): ListedMapping {
  const lease = Number(values.get('NewLeaseDuration') ?? '');
  return {
    protocol: values.get('NewProtocol')?.toUpperCase() === 'UDP' ? 'udp' : 'tcp',
    externalPort: portIn(values.get('NewExternalPort')) ?? 0,
    internalHost: cleanLine(values.get('NewInternalClient') ?? '', 64),
    internalPort: portIn(values.get('NewInternalPort')) ?? 0,
    description: cleanLine(values.get('NewPortMappingDescription') ?? '', 80),
    leaseSeconds: Number.isInteger(lease) && lease > 0 ? lease : null,
  };
}

function portIn(text: string | undefined): number | undefined {
  const port = Number(text ?? '');
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined;
}
