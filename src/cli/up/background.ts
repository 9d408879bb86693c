import { runDaemon } from '../../daemon/main.ts';
import type { DaemonOptions } from '../../daemon/running-daemon.ts';
import { keepCompiledCode, type CompiledCode } from '../../files/compiled-code.ts';
import type { TunnelError } from '../../model/failure.ts';
import { systemClock } from '../../compose-clock.ts';
import type { Context } from '../context.ts';
import { errorLines } from '../render/error.ts';

/** `tunnel daemon run`: the supervisor in this process; restores what was wanted, ends when told to, or unneeded. */
export async function runSupervisor(context: Context): Promise<number> {
  context.out.onReaderGone(() => undefined); // whoever watched it start may go
  const options = daemonOptions(context);
  let code: CompiledCode | undefined;
  await runDaemon({
    ...options,
    makeSupervisor: async (estate) => {
      code = await keepCompiledCode(context.paths, context.version); // first: it counts for what is loaded after it
      const supervisor = await options.makeSupervisor(estate);
      if (code.without !== undefined) supervisor.noteFault(`${code.without.message}; no compiled code is kept`);
      return supervisor;
    },
    finish: async () => code?.finish(),
    signal: context.signal,
  });
  return 0;
}

/** What a supervisor starts to take its place: as `runSupervisor`, with all that the one before leaves. */
export async function inheritSupervisor(context: Context): Promise<number> {
  const options = daemonOptions(context);
  await options.load?.(); // before the other one is told that we are there: clients wait then
  const { Predecessor } = await import('../../daemon/predecessor.ts');
  const predecessor = await Predecessor.meet();
  await runDaemon({ ...options, predecessor, signal: context.signal });
  return 0;
}

/** What every supervisor of the program is made of; its code is loaded once its home is its own. */
export function daemonOptions(context: Context): Omit<DaemonOptions, 'mode'> {
  const { paths, version, env } = context;
  return {
    paths,
    version,
    clock: systemClock,
    makeSupervisor: async (estate) => {
      const { makeSupervisor } = await import('../../compose.ts');
      return makeSupervisor(paths, version, env, estate);
    },
    load: async () => (await import('../../compose.ts')).loadAll(),
    onFault: (error) => sayFault(error, context),
  };
}

function sayFault(error: TunnelError, { out, verbose }: Context): void {
  for (const line of errorLines(error.facts, out.talkTheme)) out.warn(line);
  if (verbose && error.cause instanceof Error) out.warn(error.cause.stack ?? '');
}
