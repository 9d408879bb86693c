import { TunnelError } from '../../model/failure.ts';
import type { Selection } from '../../model/request.ts';
import type { Options } from '../options.ts';

/**
 * The tunnels that a command line means.
 * @returns undefined where it names none at all
 * @throws USAGE where it says two things at once, such as names and --all
 */
export function selection(args: readonly string[], options: Options): Selection | undefined {
  const tag = options.text('tag');
  const ways = [args.length > 0, tag !== undefined, options.flag('all')].filter(Boolean).length;
  if (ways > 1) {
    throw new TunnelError('USAGE', 'Cannot tell which tunnels are meant: give names, or --tag, or --all, not several');
  }
  if (args.length > 0) return { names: [...new Set(args)] };
  if (tag !== undefined) return { tag };
  return options.flag('all') ? { all: true } : undefined;
}

/** As `selection`, for verbs that never guess. @throws USAGE where nothing is named */
export function requiredSelection(verb: string, args: readonly string[], options: Options): Selection {
  const chosen = selection(args, options);
  if (chosen !== undefined) return chosen;
  throw new TunnelError('USAGE', `Cannot tell what to ${verb === 'down' ? 'take down' : verb}: no tunnel is named`, {
    hint: `Name one or several, or use --all or --tag: \`tunnel ${verb} NAME\`.`,
  });
}
