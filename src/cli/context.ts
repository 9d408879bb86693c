import type { Paths } from '../files/paths.ts';
import type { Output } from './output.ts';

/** What a command knows of the process that it runs in: handed in, so that a test can make its own. */
export interface Context {
  readonly version: string;
  readonly paths: Paths;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** `--json`: data as JSON, and an error is the only thing on stdout. */
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** A person can be asked here: stdin and stderr are terminals. Never prompt where this is false. */
  readonly interactive: boolean;
  /** stdout and stderr. Nothing else writes to them. */
  readonly out: Output;
  /** Aborted with an INTERRUPTED TunnelError by Ctrl-C, SIGTERM or SIGHUP; a second one ends the process at once. */
  readonly signal: AbortSignal;
  /** Which signal it was; undefined where a prompt met Ctrl-C as a key. */
  interruptedBy(): NodeJS.Signals | undefined;
  /** As Ctrl-C would: a prompt reads the terminal raw, and meets Ctrl-C as a key. */
  interrupt(): void;
}
