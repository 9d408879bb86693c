import type { ListedMapping, MappingWay } from '../model/mapping.ts';

/** The router, and our address towards it. */
export interface Gateway {
  readonly address: string;
  readonly local: string;
}

/** What one protocol asks a router for. */
export interface MapAsk {
  readonly protocol: 'tcp' | 'udp';
  readonly internalPort: number;
  readonly externalPort: number;
  readonly leaseSeconds: number;
  readonly description: string;
}

/** What a router granted. */
export interface Grant {
  readonly externalHost: string;
  readonly externalPort: number;
  /** Null: until it is removed. */
  readonly leaseSeconds: number | null;
  /** Seconds since the router began to remember mappings; null where the protocol does not say. */
  readonly epochSeconds: number | null;
}

/** What a router says of itself without being asked for anything. */
export interface Look {
  /** Null where this protocol tells it with a mapping only. */
  readonly externalHost: string | null;
  readonly epochSeconds: number | null;
  /** Whether the mapping in question is still there; null where the protocol cannot be asked. */
  readonly held: boolean | null;
}

/**
 * One way to talk to a router. Each call asks the gateway alone, believes nobody else, and ends within some seconds. They
 * reject with ROUTER_NOT_FOUND where nothing there speaks this protocol, and ROUTER_REFUSED or ROUTER_NOT_PUBLIC where it
 * says no.
 */
export interface MappingProtocol {
  readonly way: MappingWay;
  map(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<Grant>;
  /** One that is gone already is no failure. */
  unmap(ask: MapAsk, gateway: Gateway, signal: AbortSignal): Promise<void>;
  /** @param held a mapping to look after; null where there is none */
  look(held: MapAsk | null, gateway: Gateway, signal: AbortSignal): Promise<Look>;
  /** Every mapping of the router; only where the protocol has a list. */
  list?(gateway: Gateway, signal: AbortSignal): Promise<readonly ListedMapping[]>;
}
