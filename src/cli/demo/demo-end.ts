import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../control/client.ts';
import { asTunnelError } from '../../model/failure.ts';

/** A supervisor that was told to stop takes a moment; one that takes longer is stuck. */
const ENDS_WITHIN_MS = 5_000;

/** Takes the tunnel down and ends the demo's own supervisor; returns once its process is gone. */
export async function endSupervisor(client: ControlClient, tunnel: string): Promise<void> {
  const pid = client.supervisor?.pid;
  try {
    await client.call('down', { select: { names: [tunnel] }, drainMs: 0, caller: { cwd: '/' } });
    await client.call('stop', {});
  } catch (thrown) {
    // It may be gone already, and then all is as it should be; anything else still ends below.
    if (asTunnelError(thrown).code === 'INTERNAL') throw thrown;
  } finally {
    client.close();
    await gone(pid);
  }
}

/** For the end of this process, when nothing can be waited for. */
export function killSupervisorNow(pid: number | undefined): void {
  if (pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGKILL');
}

async function gone(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  const endsAtMs = performance.now() + ENDS_WITHIN_MS;
  while (isAlive(pid)) {
    if (performance.now() > endsAtMs) return killSupervisorNow(pid);
    await sleep(20);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}
