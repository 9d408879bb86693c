import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Expectation, Plan } from '../../model/plan.ts';
import type { Health } from '../../model/status.ts';
import type { Dial } from './dial.ts';
import type { ForwardContext, HealthSource } from '../forward-context.ts';
import { expectationText, probeService, type ProbeResult } from './probe.ts';

export interface HealthWatchOptions {
  readonly expectation: Expectation;
  readonly target: Endpoint;
  /** Whether the forward needs the link now: a probe is no use of it, and keeps none open. */
  readonly wanted: () => boolean;
  /** As clients reach it. */
  readonly dial: Dial;
  readonly context: Pick<ForwardContext, 'carrier' | 'clock' | 'probe' | 'onChange' | 'onNote'>;
}

/** A probe is nobody's connection: it comes from this machine, from no port (the values OpenSSH uses for none). */
const ORIGINATOR = { address: '127.0.0.1', port: 65_535 };

/** Probes the service behind a forward, at once and then every so often, for as long as a link is up and wanted. */
export class HealthWatch implements HealthSource {
  readonly #options: HealthWatchOptions;
  #probe: Plan['probe'];
  #health: Health | null = null;
  /** The last probe of this link, kept when it is done: its signal still ends what remains of its farewell. */
  #running: AbortController | undefined;
  #cancelNext: (() => void) | undefined;
  #started = false;

  constructor(options: HealthWatchOptions) {
    this.#options = options;
    this.#probe = options.context.probe;
  }

  /** Null while nothing is known: no stale green over a link that is down. */
  get health(): Health | null {
    return this.#health;
  }

  start(): void {
    this.#started = true;
    this.#look();
  }

  /** The link came or went, or is needed otherwise than before. */
  linkChanged(): void {
    if (!this.#started) return;
    if (this.#usable === (this.#running !== undefined || this.#health !== null)) return; // known already
    this.#look();
  }

  update(probe: Plan['probe']): void {
    if (probe.everyMs === this.#probe.everyMs && probe.timeoutMs === this.#probe.timeoutMs) return;
    this.#probe = probe;
    if (this.#started) this.#look();
  }

  close(): void {
    this.#started = false;
    this.#cancelNext?.();
    this.#stop();
  }

  get #usable(): boolean {
    return this.#options.context.carrier.up && this.#options.wanted();
  }

  #look(): void {
    const { clock } = this.#options.context;
    this.#cancelNext?.();
    this.#cancelNext = clock.after(this.#probe.everyMs, () => this.#look());
    this.#stop();
    if (this.#usable) void this.#run();
    else this.#found(null);
  }

  #stop(): void {
    this.#running?.abort(new TunnelError('STOPPED', 'The probe was stopped'));
    this.#running = undefined;
  }

  async #run(): Promise<void> {
    const { expectation, target, dial, context } = this.#options;
    const running = new AbortController();
    this.#running = running;
    const seconds = this.#probe.timeoutMs / 1_000;
    // Left armed after an answer: the service has until then to see us off.
    const cancel = context.clock.after(this.#probe.timeoutMs, () =>
      running.abort(
        new TunnelError(
          'TIMED_OUT',
          `Cannot see ${expectationText(expectation)} at the target: silent for ${seconds} s`,
        ),
      ),
    );
    running.signal.addEventListener('abort', cancel, { once: true });
    const open = (signal: AbortSignal) => dial(target, ORIGINATOR, signal);
    const host = target.kind === 'tcp' ? target.host : 'localhost';
    const result = await probeService(open, expectation, running.signal, host);
    if (this.#running !== running) return; // stopped, or the link went: no finding about the service
    if (!this.#usable) this.#stop();
    this.#found(this.#usable ? result : null);
  }

  #found(result: ProbeResult | null): void {
    const { target, context } = this.#options;
    const before = this.#health;
    this.#health = result?.health ?? null;
    if (this.#health === before) return;
    const where = formatEndpoint(target);
    if (result?.health === 'failing') {
      context.onNote('warn', `The service at ${where} is failing: ${result.error.message}`, result.error.code);
    }
    if (result?.health === 'ok' && before === 'failing')
      context.onNote('info', `The service at ${where} is well again`);
    context.onChange();
  }
}
