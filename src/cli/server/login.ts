import { listProfiles, readProfileText } from '../../files/profiles.ts';
import type { Ask } from '../../link/ask.ts';
import type { DialRequest } from '../../link/transport.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Plan } from '../../model/plan.ts';
import type { HopSpec } from '../../model/profile.ts';
import { Secret } from '../../model/secret.ts';
import type { Context } from '../context.ts';
import { putQuestion } from '../relay.ts';

/** Asks the person at this terminal, or rejects with NEEDS_PERSON where there is none. */
export function askHere({ interactive, out }: Context): Ask {
  return async (question, signal) => {
    if (interactive) return new Secret(await putQuestion(question, signal, out));
    const verb = question.kind === 'passphrase' ? 'unlock' : 'log in to';
    throw new TunnelError('NEEDS_PERSON', `Cannot ${verb} ${question.subject}: this is no terminal`, {
      hint: 'Run it on a terminal, or name where the secret is kept with `secrets` in the profile.',
    });
  };
}

/** How a command dials by itself: it asks here, and says here what a log would keep. */
export function dialRequest(plan: Plan, context: Context): DialRequest {
  const agentSocket = context.env['SSH_AUTH_SOCK'];
  return {
    hops: plan.hops,
    timeouts: plan.timeouts,
    secrets: plan.secrets,
    agentSocket: agentSocket === '' ? undefined : agentSocket,
    ask: askHere(context),
    onPhase: () => undefined,
    onNote: (message) => context.out.say(cleanLine(message)),
    signal: context.signal,
  };
}

/** Logs in through the hops and out again. @returns what the person wants to know about it */
export async function tryLogin(via: readonly HopSpec[], context: Context): Promise<string> {
  const { dialOnce, planOf } = await import('../../compose-cli.ts');
  const plan = await planOf({ via, forwards: [] }, context);
  for (const warning of plan.warnings) context.out.say(cleanLine(warning));
  const transport = await dialOnce(dialRequest(plan, context), context, (note) => context.out.detail(cleanLine(note)));
  const { serverVersion } = transport.facts;
  transport.close();
  return `Logged in at ${plan.hops.at(-1)?.label ?? ''} (${cleanLine(serverVersion)}).`;
}

/** The bind addresses of every profile that can be read: a suggestion should not clash with them. */
export async function boundElsewhere({ cwd, paths }: Context): Promise<readonly Endpoint[]> {
  const { parseProfile } = await import('../../profile/parse.ts');
  const binds: Endpoint[] = [];
  for (const { file } of await listProfiles(cwd, paths)) {
    const parsed = await readProfileText(file).then(
      (text) => parseProfile(text, file),
      () => undefined, // what cannot be read binds nothing; `check` says why
    );
    if (parsed?.ok === true) binds.push(...parsed.profile.forwards.map(({ bind }) => bind));
  }
  return binds;
}
