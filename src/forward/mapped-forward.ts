import { isIPv4 } from 'node:net';
import { asTunnelError, type TunnelError } from '../model/failure.ts';
import type { KeptMapping, MappingFacts, PortMapper } from '../model/mapping.ts';
import type { ForwardPlan, MapPlan } from '../model/plan.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from './forward-context.ts';

export interface MappedForwardParts {
  readonly plan: ForwardPlan;
  readonly map: MapPlan;
  readonly context: ForwardContext;
  readonly make: (plan: ForwardPlan, context: ForwardContext) => Forward;
  /** Called when the listener is bound: loads what asks the router. */
  readonly mapper: () => Promise<PortMapper>;
}

/**
 * A forward with a port of the router that leads to it: asked for once its own port is bound, given back when it closes.
 * The forward itself never depends on it.
 */
export class MappedForward implements Forward {
  readonly #parts: MappedForwardParts;
  readonly #inner: Forward;
  #mapping: KeptMapping | undefined;
  /** What counts while nobody asks the router. */
  #before: MappingFacts = ASKING;
  #asking = false;
  #closing = false;
  #closed: Promise<void> | undefined;

  constructor(parts: MappedForwardParts) {
    this.#parts = parts;
    const { plan, context, make } = parts;
    this.#inner = make(plan, {
      ...context,
      onBound: (port) => {
        context.onBound(port);
        this.#ask(port);
      },
    });
  }

  get facts(): ForwardFacts {
    return { ...this.#inner.facts, map: this.#mapping?.facts ?? this.#before };
  }

  start(): Promise<void> {
    return this.#inner.start();
  }

  linkChanged(): void {
    this.#inner.linkChanged();
  }

  networkChanged(): void {
    this.#inner.networkChanged?.();
    this.#mapping?.networkChanged();
  }

  update(settings: ForwardSettings): void {
    this.#inner.update(settings);
  }

  /** The router forgets it at once: nobody new is to come while the last ones leave, unless the next supervisor serves them. */
  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    const left = this.#parts.context.sockets?.left === true;
    this.#closed ??= (left ? this.#mapping?.leave() : this.#mapping?.close()) ?? Promise.resolve();
    await Promise.all([this.#closed, this.#inner.close(drainMs)]);
  }

  /** A listener that is bound once stays so until it closes. */
  #ask(internalPort: number): void {
    if (this.#asking) return;
    this.#asking = true;
    this.#parts
      .mapper()
      .then((mapper) => this.#closing || this.#keep(mapper, internalPort))
      .catch((error: unknown) => this.#notAsked(asTunnelError(error)));
  }

  #notAsked(error: TunnelError): void {
    this.#before = { ...ASKING, state: 'failed', error };
    this.#parts.context.onNote('error', error.message, error.code);
    this.#parts.context.onChange();
  }

  #keep(mapper: PortMapper, internalPort: number): void {
    const { plan, map, context } = this.#parts;
    const request = {
      protocol: map.protocol,
      externalPort: map.port,
      internalPort,
      internalHost: ownAddress(plan),
      description: `tunnel: ${plan.name}`.slice(0, DESCRIPTION_AT_MOST),
    };
    this.#mapping = mapper.keep(request, {
      onChange: () => context.onChange(),
      onNote: (level, message, code) => context.onNote(level, message, code),
    });
    context.onChange();
  }
}

const NOTHING = { way: null, router: null, external: null, expiresAtMs: null, error: null };
const ASKING: MappingFacts = { state: 'asking', ...NOTHING };

/** Some routers cut longer ones, and some refuse them. */
const DESCRIPTION_AT_MOST = 60;

/** A listener of one address is reached there alone; one of all addresses at whichever faces the router. */
function ownAddress({ bind }: ForwardPlan): string | null {
  if (bind.kind === 'unix') return null;
  return isIPv4(bind.host) && bind.host !== '0.0.0.0' ? bind.host : null;
}
