import { cleanLine } from '../../model/clean.ts';
import { parseDuration } from '../../model/duration.ts';
import { TunnelError } from '../../model/failure.ts';
import { noSuchProfile, profileNames, tunnelName } from '../catalog.ts';
import type { Context } from '../context.ts';
import { parseLogLine } from '../log-line.ts';
import { logLines } from '../log-reader.ts';
import type { Options } from '../options.ts';
import { eventLine } from '../render/event.ts';
import { profileExists } from '../stopped.ts';

/** `tunnel logs`: reads the files themselves, so it works whether or not a supervisor runs. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<void> {
  const [argument] = args;
  const { paths, out, json, signal } = context;
  const name = argument === undefined ? undefined : tunnelName(argument);
  const sinceMs = sinceOption(options.text('since'), Date.now());
  const unknown = argument !== undefined && !(await profileExists(argument, context));
  let seen = false;
  const onCaughtUp = (): void => {
    if (!seen && !options.flag('follow') && !json && !unknown) out.say('Nothing was logged.');
  };
  const known = unknown ? await profileNames(paths, context.cwd) : [];
  for await (const line of logLines(paths.logFile, {
    onCaughtUp,
    follow: options.flag('follow') && !unknown,
    signal,
  })) {
    const event = parseLogLine(line);
    if (event === undefined || (name !== undefined && event.tunnel !== name)) continue;
    seen = true;
    if (Date.parse(event.at) < sinceMs) continue;
    if (json) out.jsonLine({ version: 1, ...event });
    else out.data(eventLine(event, out.theme));
  }
  if (unknown && !seen && argument !== undefined) throw noSuchProfile(argument, known);
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
