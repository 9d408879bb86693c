import type { TunnelError } from './failure.ts';

/** How a router was asked: RFC 6887, RFC 6886, or UPnP's Internet Gateway Device. In the order in which they are tried. */
export const MAPPING_WAYS = ['PCP', 'NAT-PMP', 'UPnP'] as const;
export type MappingWay = (typeof MAPPING_WAYS)[number];

/** A port of the router that is to lead to a port of this machine. */
export interface MapRequest {
  readonly protocol: 'tcp' | 'udp';
  /** Wished for: the router may grant another. */
  readonly externalPort: number;
  readonly internalPort: number;
  /** An IPv4 address of this machine; null is the one that faces the router. */
  readonly internalHost: string | null;
  /** What the router's own pages show beside it. */
  readonly description: string;
}

/**
 * `mapped`: the router leads the port here. `double-nat`: it does so, and stands itself where the Internet cannot reach it.
 * `failed`: it does not, and is asked again from time to time.
 */
export type MappingState = 'asking' | 'mapped' | 'double-nat' | 'failed';

/** A mapping now. */
export interface MappingFacts {
  readonly state: MappingState;
  /** Null until a router has granted it. */
  readonly way: MappingWay | null;
  /** Address of the router; null where none was found. */
  readonly router: string | null;
  /** The address and port that the router really granted; null while it has not. */
  readonly external: { readonly host: string; readonly port: number } | null;
  /** Wall clock of the moment in which the router forgets it unless it is asked again; null: not before it is removed. */
  readonly expiresAtMs: number | null;
  /** Why strangers cannot come in by it; null while they can. */
  readonly error: TunnelError | null;
}

/** A mapping that is asked for, renewed, and asked for anew, until it is closed. */
export interface KeptMapping {
  readonly facts: MappingFacts;
  /** The machine slept or its network changed: looks at the router at once. */
  networkChanged(): void;
  /** Has the router forget it. Resolves soon, even where the router is silent; never rejects. Safe to call twice. */
  close(): Promise<void>;
  /** Looks after it no more and leaves it in the router: the next supervisor keeps it. As safe as `close`. */
  leave(): Promise<void>;
}

/** Whom a mapping tells. The callbacks must not throw. */
export interface MappingListener {
  /** Something in `facts` changed. */
  onChange(): void;
  onNote(level: 'info' | 'warn', message: string, code?: TunnelError['code']): void;
}

/** Asks the default gateway, and nobody else, to lead ports here. */
export interface PortMapper {
  keep(request: MapRequest, listener: MappingListener): KeptMapping;
}

/** What a router's own list says of one mapping, whoever asked for it. */
export interface ListedMapping {
  readonly protocol: 'tcp' | 'udp';
  readonly externalPort: number;
  readonly internalHost: string;
  readonly internalPort: number;
  /** Clean, on one line. */
  readonly description: string;
  /** Null: until it is removed. */
  readonly leaseSeconds: number | null;
}

/** Whether a router answers by one protocol. */
export interface WayView {
  readonly way: MappingWay;
  readonly answers: boolean;
  /** Its outer address; null where this protocol does not tell. */
  readonly external: string | null;
  readonly error: TunnelError | null;
}

/** A router as it shows itself, without being asked for a mapping. */
export interface RouterView {
  readonly router: string;
  /** Our address towards it. */
  readonly local: string;
  readonly external: string | null;
  readonly ways: readonly WayView[];
  /** Null where it has no list. */
  readonly mappings: readonly ListedMapping[] | null;
  /** Why the Internet cannot reach what it would map; null where nothing is known against it. */
  readonly error: TunnelError | null;
}
