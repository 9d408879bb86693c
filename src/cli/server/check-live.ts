import { proveSteps, type CheckNeeds } from '../../check/steps.ts';
import type { CheckStep } from '../../check/timed.ts';
import { cleanLine } from '../../model/clean.ts';
import type { TunnelError } from '../../model/failure.ts';
import type { Plan } from '../../model/plan.ts';
import type { Context } from '../context.ts';
import { snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';
import { dialRequest } from './login.ts';
import { stepJson, stepLines } from '../render/step.ts';

/** What was proved of one profile: for `--json`, and for the exit code. */
export interface LiveCheck {
  readonly steps: readonly unknown[];
  /** The first failure; undefined where every step held. */
  readonly failure: TunnelError | undefined;
}

/** Proves each step from this machine to the first bytes of each service, and prints it as it is proved. */
export async function checkLive(argument: string, context: Context): Promise<LiveCheck> {
  const { dialOnce, resolveProfile, surveyRouter } = await import('../../compose-cli.ts');
  const plan = await resolveProfile(argument, context);
  const { agentSocket, ask, signal } = dialRequest(plan, context);
  const steps: CheckStep[] = [];
  const onNote = (note: string): void => context.out.detail(cleanLine(note));
  const needs = {
    dial: (request: Parameters<typeof dialOnce>[0]) => dialOnce(request, context, onNote),
    surveyRouter: (limit: AbortSignal) => surveyRouter(context, limit, onNote),
    ask,
    agentSocket,
    signal,
    nowMs: () => performance.now(),
    ...(await facts(plan, context)),
  };
  for await (const step of proveSteps(plan, needs)) {
    steps.push(step);
    if (!context.json) for (const line of stepLines(step, context.out.theme)) context.out.data(line);
  }
  return { steps: steps.map(stepJson), failure: steps.find(({ error }) => error !== undefined)?.error };
}

/** Whether the tunnel runs, and which forwards it has in place. Starts no supervisor. */
async function facts({ name }: Plan, context: Context): Promise<Pick<CheckNeeds, 'running' | 'inPlace'>> {
  const { tunnels } = await withSupervisorIfRunning(context, (client) => snapshotOf(client, context.signal));
  const tunnel = tunnels.find((one) => one.name === name);
  const up = tunnel?.forwards.filter(({ state }) => state === 'up') ?? [];
  return {
    running: tunnel !== undefined && tunnel.state !== 'stopped' && tunnel.state !== 'failed', // these two hold no port
    inPlace: (forward) => up.some((one) => one.name === forward),
  };
}
