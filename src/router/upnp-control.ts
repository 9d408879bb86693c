import { cleanLine } from '../model/clean.ts';
import type { Clock } from '../model/clock.ts';
import type { Gateway } from './mapping-protocol.ts';
import { askHttp } from './router-http.ts';
import { notSpoken } from './router-refusal.ts';
import { searchGateway } from './ssdp.ts';
import { readSoap, servicesIn, soapBody, type SoapResponse, type UpnpService } from './upnp-codec.ts';

/** A router that is busy with its own pages may take its time. */
const CALL_DEADLINE_MS = 5_000;

/** Names and values, in the order that the service wants. */
export type Args = readonly (readonly [string, string | number])[];

export interface UpnpControlParts {
  readonly clock: Clock;
  readonly ssdpPort?: number;
}

/** Finds what takes orders at a router, and hands it orders. */
export class UpnpControl {
  readonly #parts: UpnpControlParts;
  /** By the gateway's address; forgotten when one fails. */
  readonly #services = new Map<string, UpnpService>();

  constructor(parts: UpnpControlParts) {
    this.#parts = parts;
  }

  /** Rejects with ROUTER_NOT_FOUND where no answer can be read; a refusal is a value, as the caller may know another way. */
  async call(action: string, args: Args, gateway: Gateway, signal: AbortSignal): Promise<SoapResponse> {
    const { type, controlUrl } = await this.service(gateway, signal);
    const headers = { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: `"${type}#${action}"` };
    const body = soapBody(type, action, args);
    const bounded = this.#within(CALL_DEADLINE_MS, signal);
    try {
      const length = { 'Content-Length': String(Buffer.byteLength(body)) };
      const ask = { url: controlUrl, gateway, method: 'POST', headers: { ...headers, ...length }, body } as const;
      const { text } = await askHttp({ ...ask, signal: bounded.signal });
      const response = readSoap(text, action);
      if (response !== undefined) return response;
      throw new Error(`The answer to ${action} cannot be read`);
    } catch (thrown) {
      this.forget(gateway);
      signal.throwIfAborted();
      throw notSpoken('UPnP', gateway, `it does not answer ${action} (${reasonOf(thrown, bounded.signal)})`);
    } finally {
      bounded.cancel();
    }
  }

  /** A router that has restarted may serve at another port, or another service. */
  forget({ address }: Gateway): void {
    this.#services.delete(address);
  }

  /** The service that takes the orders: searched for once, and again after it failed. Rejects with ROUTER_NOT_FOUND. */
  async service(gateway: Gateway, signal: AbortSignal): Promise<UpnpService> {
    const known = this.#services.get(gateway.address);
    if (known !== undefined) return known;
    const { clock, ssdpPort } = this.#parts;
    const port = ssdpPort === undefined ? {} : { port: ssdpPort };
    const location = await searchGateway({ gateway, clock, signal, ...port });
    signal.throwIfAborted();
    if (location === undefined) throw notSpoken('UPnP', gateway);
    const [service] = servicesIn(await this.#description(location, gateway, signal), location, gateway.address);
    if (service === undefined) throw notSpoken('UPnP', gateway, 'it describes no service that leads to the Internet');
    this.#services.set(gateway.address, service);
    return service;
  }

  async #description(url: URL, gateway: Gateway, signal: AbortSignal): Promise<string> {
    const bounded = this.#within(CALL_DEADLINE_MS, signal);
    try {
      return (await askHttp({ url, gateway, method: 'GET', headers: {}, body: '', signal: bounded.signal })).text;
    } catch (thrown) {
      signal.throwIfAborted();
      throw notSpoken('UPnP', gateway, `its description cannot be read (${reasonOf(thrown, bounded.signal)})`);
    } finally {
      bounded.cancel();
    }
  }

  #within(limitMs: number, signal: AbortSignal): { readonly signal: AbortSignal; readonly cancel: () => void } {
    const late = new AbortController();
    const cancel = this.#parts.clock.after(limitMs, () => late.abort(new Error('no answer in time')));
    return { signal: AbortSignal.any([signal, late.signal]), cancel };
  }
}

function reasonOf(thrown: unknown, deadline: AbortSignal): string {
  if (deadline.aborted) return 'not in time';
  if (!(thrown instanceof Error)) return 'no reason given';
  return 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : cleanLine(thrown.message, 100);
}
