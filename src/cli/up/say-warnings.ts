import { cleanLine } from '../../model/clean.ts';
import type { UpTunnel } from '../../model/request.ts';
import type { Context } from '../context.ts';

/**
 * Says on stderr what of ssh_config is left out, and who can reach what: once, when it begins to count. What several
 * tunnels share is said in one line with their names. Under `--json` it is silent: `explain --json` has it as data.
 */
export function sayWarnings(tunnels: readonly UpTunnel[], { out, json }: Context): void {
  if (json) return;
  const names = new Map<string, string[]>();
  for (const { name, warnings = [] } of tunnels) {
    for (const warning of warnings) names.set(warning, [...(names.get(warning) ?? []), name]);
  }
  for (const [warning, whose] of names) {
    out.warn(`${out.talkTheme.warn('note:')} ${cleanLine(whose.join(', '))}: ${cleanLine(warning)}`);
  }
}
