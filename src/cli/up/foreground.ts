import { connectControl, type ControlClient } from '../../control/client.ts';
import { startDaemon } from '../../daemon/main.ts';
import { surviveFaults } from '../../daemon/process-events.ts';
import { FAILURES, asTunnelError } from '../../model/failure.ts';
import type { Selection } from '../../model/request.ts';
import type { StatusEvent } from '../../model/status.ts';
import type { Context } from '../context.ts';
import { openFeed, type StatusFeed } from '../feed.ts';
import { errorLines } from '../render/error.ts';
import { eventLine, newsFilter } from '../render/event.ts';
import { relayQuestions } from '../relay.ts';
import { daemonOptions } from './background.ts';
import { bringUp } from './bring-up.ts';
import { sayWarnings } from './say-warnings.ts';
import { ended, type UpFailure } from './settle.ts';
import { callerOf } from '../supervisor.ts';

/**
 * `tunnel up --foreground`: a supervisor of these tunnels alone, in this process, for service managers and containers.
 * Ends by a signal, by `daemon stop`, or when all of them are failed or stopped.
 * @param atomicWaitMs all of them or none: ends as well when they are not all up within this time; null lets those serve that can
 * @returns 0 after SIGTERM, 130 after Ctrl-C
 */
export async function runForeground(select: Selection, atomicWaitMs: number | null, context: Context): Promise<number> {
  context.out.onReaderGone(() => undefined); // tunnels outlive a log reader
  const daemon = await startDaemon({ ...daemonOptions(context), mode: 'foreground' });
  const release = surviveFaults(
    (fault) => daemon.report(fault),
    () => context.interrupt(),
  );
  try {
    const client = await connectControl(daemon.socket, context.version);
    try {
      return await serve(client, select, atomicWaitMs, context);
    } finally {
      client.close();
    }
  } catch (thrown) {
    if (!context.signal.aborted) throw thrown;
    return context.interruptedBy() === 'SIGTERM' ? 0 : FAILURES.INTERRUPTED.exit; // a service manager's way to say "well done"
  } finally {
    await daemon.stop();
    release();
  }
}

async function serve(
  client: ControlClient,
  select: Selection,
  atomicWaitMs: number | null,
  context: Context,
): Promise<number> {
  const relay = context.interactive ? relayQuestions(client, context) : undefined;
  const up = { select, caller: callerOf(context), attend: context.interactive };
  const { tunnels } = await client.call('up', up, context.signal);
  sayWarnings(tunnels, context);
  const feed = await openFeed(client, context.signal, context.json || context.verbose);
  const order = tunnels.map(({ name }) => name);
  show(feed, context);
  const first =
    atomicWaitMs === null
      ? []
      : (await bringUp({ client, order, waitMs: atomicWaitMs, relay, atomic: true }, context)).failures;
  const failures = first.length > 0 ? first : await untilEnded(client, order, feed, context);
  relay?.close();
  return explain(failures, context);
}

/** Every change that a person would see, and with -v every finished connection, as `tunnel logs -f` shows them. */
function show(feed: StatusFeed, { json, verbose, out }: Context): void {
  const isNews = newsFilter();
  const print = (event: StatusEvent): void => {
    if (json) out.jsonLine({ version: 1, ...event });
    else if (isNews(event) && (event.event !== 'connection' || verbose)) out.data(eventLine(event, out.theme));
  };
  for (const status of feed.tunnels.values()) {
    print({ event: 'tunnel', at: status.since, tunnel: status.name, status });
  }
  feed.onEvent(print);
}

function untilEnded(
  client: ControlClient,
  order: readonly string[],
  feed: StatusFeed,
  { signal }: Context,
): Promise<readonly UpFailure[]> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const failures = ended(order, feed.tunnels);
      if (failures !== undefined) resolve(failures);
    };
    feed.onEvent(look);
    signal.addEventListener('abort', () => reject(asTunnelError(signal.reason)), { once: true });
    void client.closed.then(() => resolve([])); // `tunnel daemon stop` from elsewhere
    look();
  });
}

function explain(failures: readonly UpFailure[], { out }: Context): number {
  for (const { facts } of failures) for (const line of errorLines(facts, out.talkTheme)) out.warn(line);
  return failures[0]?.facts.exit ?? 0;
}
