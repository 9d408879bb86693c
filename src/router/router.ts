import type { KeptMapping, MappingListener, MapRequest, PortMapper, RouterView } from '../model/mapping.ts';
import { MappingKeeper } from './mapping-keeper.ts';
import type { RouterParts } from './router-parts.ts';
import { surveyRouter } from './survey.ts';

/** Keeps mappings at the default gateway, by whichever protocol it speaks. */
export class Router implements PortMapper {
  readonly #parts: RouterParts;
  readonly #turns = new Map<string, Promise<void>>();
  /** Ports of the router that mappings of ours want, and which of them has it: some routers would give it to the next without a word. */
  readonly #claims = new Map<string, MappingKeeper>();

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  keep(request: MapRequest, listener: MappingListener): KeptMapping {
    const key = `${request.protocol}/${request.internalPort}`;
    const wish = `${request.protocol}/${request.externalPort}`;
    const keeper: MappingKeeper = new MappingKeeper(request, listener, {
      ...this.#parts,
      turn: (work) => this.#turn(key, work),
      claim: () => {
        const holder = this.#claims.get(wish) ?? keeper;
        this.#claims.set(wish, holder);
        return holder === keeper;
      },
      release: () => void (this.#claims.get(wish) === keeper && this.#claims.delete(wish)),
    });
    keeper.start();
    return keeper;
  }

  /** Our address towards the router. Rejects with ROUTER_NOT_FOUND. */
  async localAddress(): Promise<string> {
    return (await this.#parts.findGateway(null)).local;
  }

  /** What the router says of itself; it is asked for nothing. Rejects with ROUTER_NOT_FOUND. */
  async survey(signal: AbortSignal): Promise<RouterView> {
    return surveyRouter(this.#parts.protocols, await this.#parts.findGateway(null), signal);
  }

  /** One at a time for each port of ours: a removal that overtakes the next request would take away what that one got. */
  #turn(key: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work);
    this.#turns.set(key, turn);
    return turn.finally(() => {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    });
  }
}
