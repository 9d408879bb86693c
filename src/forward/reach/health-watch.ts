import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError, type FailureCode } from '../../model/failure.ts';
import type { Expectation, Plan } from '../../model/plan.ts';
import type { Dial } from './dial.ts';
import type { ForwardContext, HealthFacts, HealthSource } from '../forward-context.ts';
import { probeService, silentService, type ProbeResult } from './probe.ts';

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
  #finding: ProbeResult | null = null;
  /** The last probe of this link, kept when it is done: its signal still ends what remains of its farewell. */
  #running: AbortController | undefined;
  #cancelNext: (() => void) | undefined;
  #started = false;

  constructor(options: HealthWatchOptions) {
    this.#options = options;
    this.#probe = options.context.probe;
  }

  /** Null while nothing is known: no stale green over a link that is down. */
  get facts(): HealthFacts {
    const finding = this.#finding;
    if (finding?.health !== 'failing') return { health: finding?.health ?? null };
    return { health: 'failing', healthError: finding.error };
  }

  start(): void {
    this.#started = true;
    this.#look();
  }

  /** The link came or went, or is needed otherwise than before. */
  linkChanged(): void {
    if (!this.#started) return;
    if (this.#usable === (this.#running !== undefined || this.#finding !== null)) return; // known already
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
    const { timeoutMs } = this.#probe;
    // Left armed after an answer: the service has until then to see us off.
    const cancel = context.clock.after(timeoutMs, () => running.abort(silentService(expectation, target, timeoutMs)));
    running.signal.addEventListener('abort', cancel, { once: true });
    const open = (signal: AbortSignal) => dial(target, ORIGINATOR, signal);
    const result = await probeService(open, expectation, running.signal, target);
    if (this.#running !== running) return; // stopped, or the link went: no finding about the service
    if (!this.#usable) this.#stop();
    this.#found(this.#usable ? result : null);
  }

  #found(result: ProbeResult | null): void {
    const { target, context } = this.#options;
    const before = this.#finding;
    if (sameFinding(before, result)) return; // the older one is kept: it says since when
    this.#finding = result;
    const where = formatEndpoint(target);
    // Of another reason of the same kind only the status tells: a greeting may have the time of day in it.
    if (result?.health === 'failing' && codeOf(before) !== result.error.code) {
      context.onNote('warn', `The service at ${where} is failing: ${result.error.message}`, result.error.code);
    }
    if (result?.health === 'ok' && before?.health === 'failing')
      context.onNote('info', `The service at ${where} is well again`);
    context.onChange();
  }
}

function sameFinding(one: ProbeResult | null, other: ProbeResult | null): boolean {
  if (one?.health !== 'failing' || other?.health !== 'failing') return one?.health === other?.health;
  return one.error.code === other.error.code && one.error.message === other.error.message;
}

function codeOf(finding: ProbeResult | null): FailureCode | undefined {
  return finding?.health === 'failing' ? finding.error.code : undefined;
}
