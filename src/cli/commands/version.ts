import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { connectIfRunning } from '../../daemon/find.ts';

/** `tunnel version`: of this command, and of the supervisor where one runs: they differ after an update. */
export async function run(_args: readonly string[], _options: Options, context: Context): Promise<void> {
  const { out, json, version } = context;
  const supervisor = await supervisorVersion(context);
  const node = process.versions.node;
  if (json) return out.json({ version: 1, tunnel: version, supervisor, node });
  out.data(`tunnel ${version}`);
  if (supervisor !== null) out.data(`supervisor ${cleanLine(supervisor)}`);
  out.detail(`node ${node}`);
}

/** One that cannot be talked to is said, and is no reason not to print our own version. */
async function supervisorVersion({ paths, version, out }: Context): Promise<string | null> {
  try {
    const client = await connectIfRunning(paths, version);
    client?.close();
    return client?.supervisor?.version ?? null;
  } catch (thrown) {
    if (!(thrown instanceof TunnelError)) throw thrown;
    out.warn(thrown.message);
    return null;
  }
}
