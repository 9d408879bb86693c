import type { Clock } from '../model/clock.ts';
import type { Plan } from '../model/plan.ts';
import type { Ask } from './ask.ts';
import type { LoginBudget } from './budget.ts';
import type { Dial } from './transport.ts';

/** The part of a plan that concerns one SSH connection. */
export type LinkPlan = Pick<Plan, 'hops' | 'timeouts' | 'secrets' | 'keepalive' | 'reconnect'>;

/** What a carrier and its links get from outside; nothing here is closed by them. */
export interface CarrierDeps {
  readonly dial: Dial;
  readonly clock: Clock;
  /** In [0, 1), as Math.random. */
  readonly random: () => number;
  /** One for the whole process. */
  readonly budget: LoginBudget;
  readonly ask: Ask;
  /** SSH_AUTH_SOCK of the last caller: looked at for each dial. */
  readonly agentSocket: () => string | undefined;
  readonly onNote: (message: string, level?: 'info' | 'warn') => void;
  /** What every dial waits for first: other tunnels that must be up. Rejects with the signal's reason. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
}
