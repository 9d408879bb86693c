import { isIP } from 'node:net';
import type { Plan } from '../../model/plan.ts';
import { AllowList, NOT_ALLOWED } from './allow-list.ts';

/** Why a client is turned away: the words after "Closed a connection from …". */
export type Refused = { readonly limit: boolean; readonly why: string };

/** Counts the clients of one forward and says who may come in: addresses first, then places. */
export class Admission {
  readonly #allowed: AllowList;
  readonly #perClient = new Map<string, number>();
  #open = 0;

  /** @param allow ranges in CIDR form or single addresses; null lets everybody in. @throws RangeError on anything else */
  constructor(allow: readonly string[] | null) {
    this.#allowed = new AllowList(allow);
  }

  /** @returns undefined when the client has a place now, which `release` must give back */
  admit(address: string, limits: Plan['limits']): Refused | undefined {
    if (!this.#allowed.has(address)) return { limit: false, why: NOT_ALLOWED };
    if (this.#open >= limits.connections) {
      return { limit: true, why: `${limits.connections} connections are open (limits.connections)` };
    }
    const held = this.#perClient.get(address) ?? 0;
    const most = perClientLimit(address, limits);
    if (held >= most) return { limit: true, why: `${most} are open from that address (limits.perClient)` };
    this.#perClient.set(address, held + 1);
    this.#open += 1;
    return undefined;
  }

  release(address: string): void {
    const held = this.#perClient.get(address);
    if (held === undefined) return;
    this.#open -= 1;
    if (held === 1) this.#perClient.delete(address);
    else this.#perClient.set(address, held - 1);
  }
}

/** All programs of this machine come from one address: no reason to count them as one client, unless the profile says so. */
function perClientLimit(address: string, limits: Plan['limits']): number {
  const family = isIP(address);
  if (family === 0) return Infinity;
  const local = address === '::1' || (family === 4 && address.startsWith('127.'));
  return local ? (limits.perLocalClient ?? limits.perClient) : limits.perClient;
}
