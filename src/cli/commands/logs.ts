import { cleanLine } from '../../model/clean.ts';
import { parseDuration } from '../../model/duration.ts';
import { FAILURES, TunnelError } from '../../model/failure.ts';
import { tunnelName } from '../../model/profile-name.ts';
import { noSuchProfile, profileNames } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';
import { parseLogLine } from '../logs/log-line.ts';
import { logLines } from '../logs/log-reader.ts';
import type { Options } from '../options.ts';
import { eventLine, newsFilter } from '../render/event.ts';
import { profileExists } from '../status/stopped.ts';

/** `tunnel logs`: reads the files themselves, so it works whether or not a supervisor runs. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const [argument] = args;
  const sinceMs = sinceOption(options.text('since'), Date.now());
  const known = argument === undefined || profileExists(argument, context);
  const name = argument === undefined ? undefined : tunnelName(argument);
  try {
    const seen = await print({ name, sinceMs, follow: options.flag('follow') && known }, context);
    // A profile that was removed may have left its log behind.
    if (!known && seen === 0) throw noSuchProfile(argument, profileNames(context.paths, context.cwd));
    if (seen === 0 && !context.json) context.out.say('Nothing was logged.');
    return 0;
  } catch (thrown) {
    // Ctrl-C is how following ends, and no error.
    if (options.flag('follow') && context.signal.aborted) return FAILURES.INTERRUPTED.exit;
    throw thrown;
  }
}

interface Wanted {
  readonly name: string | undefined;
  readonly sinceMs: number;
  readonly follow: boolean;
}

/** @returns how many events of this name there are, those before `sinceMs` included */
async function print({ name, sinceMs, follow }: Wanted, { paths, out, json, signal }: Context): Promise<number> {
  let seen = 0;
  const isNews = newsFilter();
  for await (const line of logLines(paths.logFile, { follow, signal })) {
    const event = parseLogLine(line);
    if (event === undefined || (name !== undefined && event.tunnel !== name)) continue;
    seen += 1;
    const news = isNews(event);
    if (Date.parse(event.at) < sinceMs) continue;
    if (json) out.jsonLine({ version: 1, ...event });
    else if (news) out.data(eventLine(event, out.theme));
  }
  return seen;
}

/** `1h` is so long ago; anything else is a date, in local time where it names no zone. */
function sinceOption(text: string | undefined, nowMs: number): number {
  if (text === undefined) return -Infinity;
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return nowMs - agoMs;
  const atMs = Date.parse(text);
  if (!Number.isNaN(atMs)) return atMs;
  throw new TunnelError('USAGE', `Cannot read --since ${cleanLine(text)}: neither a duration nor a date`, {
    hint: 'Write it like 10m, 1h, 2d or 2026-08-14T10:00.',
  });
}
