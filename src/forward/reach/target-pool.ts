import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import type { TunnelError } from '../../model/failure.ts';
import type { Expectation, RelayForwardPlan } from '../../model/plan.ts';
import type { ForwardContext, ForwardSettings, HealthFacts, HealthSource } from '../forward-context.ts';
import type { Dial } from './dial.ts';
import { HealthWatch } from './health-watch.ts';
import { noCarrier } from './no-carrier.ts';

/** A target that did not answer is looked at again so often: a restart of a service is over by then. */
const LOOK_AGAIN_MS = 5_000;

export interface TargetPoolOptions {
  readonly plan: Pick<RelayForwardPlan, 'targets' | 'choose'> & { readonly expect: Expectation | null };
  readonly context: Pick<ForwardContext, 'clock' | 'probe' | 'onChange' | 'onNote'>;
  /** Reaches a target for a probe. */
  readonly dial: Dial;
  /** Whether a target that did not answer does now; null where that cannot be asked, and time alone brings it back. */
  readonly reaches: ((target: Endpoint) => Promise<boolean>) | null;
}

interface Target {
  readonly endpoint: Endpoint;
  readonly watch: HealthWatch | undefined;
  reachable: boolean;
  cancelLook: () => void;
}

/**
 * The targets behind one address: in which order a client's are tried, by what is known of their health. One that does
 * not answer is skipped until it does again, but tried when no other is left: no client is refused on a guess.
 */
export class TargetPool implements HealthSource {
  readonly #options: TargetPoolOptions;
  readonly #targets: readonly Target[];
  #turn = 0;
  #closed = false;

  constructor(options: TargetPoolOptions) {
    const { plan, context, dial } = options;
    this.#options = options;
    this.#targets = plan.targets.map((endpoint) => ({
      endpoint,
      watch:
        plan.expect === null
          ? undefined
          : new HealthWatch({
              expectation: plan.expect,
              target: endpoint,
              dial,
              wanted: () => true,
              context: { ...context, carrier: noCarrier },
            }),
      reachable: true,
      cancelLook: () => undefined,
    }));
  }

  /** Failing where one of them is, though the others serve: nobody should overlook that. The first that fails says why. */
  get facts(): HealthFacts {
    const all = this.#targets.map(({ watch }) => watch?.facts ?? { health: null });
    const failing = all.find(({ health }) => health === 'failing');
    return failing ?? { health: all.some(({ health }) => health === null) ? null : 'ok' };
  }

  start(): void {
    for (const { watch } of this.#targets) watch?.start();
  }

  linkChanged(): void {
    // There is no link.
  }

  update(probe: ForwardSettings['probe']): void {
    for (const { watch } of this.#targets) watch?.update(probe);
  }

  close(): void {
    this.#closed = true;
    for (const { watch, cancelLook } of this.#targets) {
      watch?.close();
      cancelLook();
    }
  }

  /** The targets to try for the next client, in this order: those that are well first. */
  next(): readonly Endpoint[] {
    const turn = this.#options.plan.choose === 'round-robin' ? this.#turn++ : 0;
    const well = this.#targets.filter(isWell);
    const start = well.length === 0 ? 0 : turn % well.length;
    const ordered = [...well.slice(start), ...well.slice(0, start), ...this.#targets.filter((one) => !isWell(one))];
    return ordered.map(({ endpoint }) => endpoint);
  }

  /** It did not answer a client. The last of its kind is not skipped: there would be nobody to go to. */
  failed(endpoint: Endpoint, error: TunnelError): void {
    const target = this.#find(endpoint);
    if (target === undefined || !target.reachable || this.#targets.length === 1 || this.#closed) return;
    target.reachable = false;
    this.#note('warn', `Target ${formatEndpoint(endpoint)} is skipped until it answers: ${error.message}`, error);
    this.#lookLater(target);
  }

  /** It answered a client. */
  answered(endpoint: Endpoint): void {
    const target = this.#find(endpoint);
    if (target !== undefined && !target.reachable) this.#back(target);
  }

  #find(endpoint: Endpoint): Target | undefined {
    return this.#targets.find((target) => target.endpoint === endpoint);
  }

  #lookLater(target: Target): void {
    target.cancelLook = this.#options.context.clock.after(LOOK_AGAIN_MS, () => void this.#look(target));
  }

  async #look(target: Target): Promise<void> {
    const { reaches } = this.#options;
    const reached = reaches === null || (await reaches(target.endpoint));
    if (this.#closed || target.reachable) return;
    if (reached) this.#back(target);
    else this.#lookLater(target);
  }

  #back(target: Target): void {
    target.cancelLook();
    target.reachable = true;
    this.#note('info', `Target ${formatEndpoint(target.endpoint)} answers again`);
  }

  #note(level: 'info' | 'warn', message: string, error?: TunnelError): void {
    this.#options.context.onNote(level, message, error?.code);
    this.#options.context.onChange();
  }
}

function isWell({ reachable, watch }: Target): boolean {
  return reachable && watch?.facts.health !== 'failing';
}
