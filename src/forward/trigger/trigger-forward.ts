import { formatEndpoint } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import type { TriggerForwardPlan } from '../../model/plan.ts';
import { Burst, type OnNote } from '../clients/burst.ts';
import { ClientTurns } from '../clients/client-turns.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from '../forward-context.ts';
import type { Dial } from '../reach/dial.ts';
import { ListeningForward } from '../listening-forward.ts';
import { ReturnConnections } from './return-connections.ts';
import { ReturnPorts } from './return-ports.ts';
import { fixedTarget } from '../reach/route.ts';

/** Bytes are looked at so often in an idle time, and not more rarely than each second: traffic is seen soon after it came. */
const LOOKS_IN_IDLE = 10;
const LOOK_AT_MOST_MS = 1_000;

/**
 * Port triggering over SSH: a local forward whose use opens return ports on the server, which lead back to the client that
 * used it and to nobody else, and close when there is no more traffic.
 */
export class TriggerForward implements Forward {
  readonly #context: ForwardContext;
  readonly #listening: ListeningForward;
  readonly #ports: ReturnPorts;
  readonly #returns: ReturnConnections;
  readonly #burst: Burst;
  readonly #lookEveryMs: number;
  #settings: ForwardSettings;
  /** Who used the trigger last. All open connections are its own: one client at a time. */
  #client = '';
  #bytes = 0;
  #cancelLook: (() => void) | undefined;
  readonly #stopped = new AbortController();

  constructor(plan: TriggerForwardPlan, context: ForwardContext) {
    const { carrier, clock } = context;
    this.#context = context;
    this.#settings = context;
    this.#lookEveryMs = Math.min(plan.idleMs / LOOKS_IN_IDLE, LOOK_AT_MOST_MS);
    this.#burst = new Burst(clock, (...note) => context.onNote(...note));
    const turns = new ClientTurns(plan.clients);
    const onNote: OnNote = (level, message, code) =>
      level === 'info' ? context.onNote(level, message) : this.#burst.note(level, message, code);
    const onChange = (): void => context.onChange();
    const onConnection: ForwardContext['onConnection'] = (record) => context.onConnection(record);
    const settings = (): ForwardSettings => this.#settings;
    this.#returns = new ReturnConnections({
      ...{ forward: plan.name, opens: plan.opens, clock, settings, burst: this.#burst },
      onConnection,
      onChange,
    });
    this.#ports = new ReturnPorts({
      opens: plan.opens,
      rules: { idleMs: plan.idleMs, lifetimeMs: plan.demand?.lifetimeMs ?? null },
      carrier,
      clock,
      turns,
      onIncoming: (incoming, host, port) => this.#returns.lead(incoming, host, port),
      onClose: (why) => void (this.#stopped.signal.aborted || this.#returns.cut(why)),
      onNote,
      onChange,
    });
    const byChannel: Dial = (...to) => carrier.open(...to);
    const dial: Dial = async (target, originator, signal) => {
      await this.#triggered(originator.address, signal);
      return carrier.open(target, originator, signal);
    };
    const { target } = plan;
    const probed = { target, dial: byChannel }; // a probe opens no port
    const route = { label: formatEndpoint(target), probed, negotiate: fixedTarget(target), dial };
    this.#listening = new ListeningForward(plan, route, context, turns);
  }

  get facts(): ForwardFacts {
    const own = this.#listening.facts;
    const returns = this.#returns.facts;
    const { error, facts: ports } = this.#ports;
    return {
      ...own,
      // A trigger that cannot open its ports is not in place, though its own port is.
      listening: own.listening && error === null,
      error: own.error ?? error,
      openConnections: own.openConnections + returns.openConnections,
      totalConnections: own.totalConnections + returns.totalConnections,
      receivedBytes: own.receivedBytes + returns.receivedBytes,
      sentBytes: own.sentBytes + returns.sentBytes,
      demand: ports.open ? ports : { open: own.openConnections > 0, closesAtMs: null },
    };
  }

  start(): Promise<void> {
    return this.#listening.start();
  }

  linkChanged(): void {
    this.#listening.linkChanged();
  }

  update(settings: ForwardSettings): void {
    this.#settings = settings;
    this.#listening.update(settings);
  }

  /** The ports close at once; connections have until `drainMs`. */
  async close(drainMs: number, held?: 'cut' | 'serve'): Promise<void> {
    this.#stopped.abort(new TunnelError('STOPPED', 'Cannot open the return ports: the tunnel was stopped'));
    this.#cancelLook?.();
    const why = 'the tunnel was stopped';
    this.#returns.cutAfter(drainMs);
    await Promise.all([this.#ports.close(why), this.#returns.drained(), this.#listening.close(drainMs, held)]);
    this.#burst.flush();
  }

  async #triggered(client: string, signal: AbortSignal): Promise<void> {
    this.#client = client;
    this.#watchTraffic();
    await this.#ports.open(client, signal);
  }

  #watchTraffic(): void {
    if (this.#cancelLook !== undefined || this.#stopped.signal.aborted) return;
    this.#bytes = this.#traffic;
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancelLook = this.#context.clock.after(this.#lookEveryMs, () => this.#lookAtTraffic());
  }

  /** Bytes renew the ports; on the trigger they open them anew, as a new connection there would. */
  #lookAtTraffic(): void {
    const bytes = this.#traffic;
    const moved = bytes !== this.#bytes;
    this.#bytes = bytes;
    const { open } = this.#ports.facts;
    if (!open && this.facts.openConnections === 0) {
      this.#cancelLook = undefined;
      return;
    }
    this.#lookLater();
    if (!moved) return;
    if (open) this.#ports.renew();
    else this.#ports.open(this.#client, this.#stopped.signal).catch(() => undefined); // the ports have said why
  }

  get #traffic(): number {
    const { receivedBytes, sentBytes } = this.facts;
    return receivedBytes + sentBytes;
  }
}
