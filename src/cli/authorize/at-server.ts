import { installLine, removeLines, type Account, type Installed } from '../../authorize/install.ts';
import { listenedAt } from '../../authorize/key-limits.ts';
import { onlyWith, proveKey } from '../../authorize/proof.ts';
import { readInstalledNote, writeInstalledNote } from '../../files/key-files.ts';
import type { SessionTransport } from '../../link/transport.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError, asTunnelError } from '../../model/failure.ts';
import type { HopPlan } from '../../model/plan.ts';
import type { Context } from '../context.ts';
import { isRunning } from '../profiles/profile-file.ts';
import { stepLines, type TriedStep } from '../render/step.ts';
import { dialRequest } from '../server/login.ts';
import { loginWithout } from './other-login.ts';
import type { Subject } from './subject.ts';

/** Puts the line into the account's authorized_keys, over the login that works without this key. Asks as `up` does. */
export async function install(subject: Subject, context: Context): Promise<Installed> {
  const installed = await overOtherLogin(subject, context, (account) => installLine(subject.line, account));
  if (subject.dedicated) await writeInstalledNote(subject.key.file, noteOf(subject));
  return installed;
}

/** Whether this very line was put there, by this command and from here. */
export async function wasInstalled(subject: Subject): Promise<boolean> {
  return subject.dedicated && (await readInstalledNote(subject.key.file)) === noteOf(subject);
}

/** Takes the lines of the key out again. @returns how many there were */
export async function uninstall(subject: Subject, context: Context): Promise<number> {
  const removed = await overOtherLogin(subject, context, removeLines);
  if (subject.dedicated) await writeInstalledNote(subject.key.file, undefined);
  return removed;
}

function noteOf({ account, line }: Subject): string {
  return `${account}\n${line}\n`;
}

/**
 * Tries the key by itself, and prints each step as it is proved.
 * @param installed what this command has done at the server just before; undefined for nothing
 */
export async function prove(
  subject: Subject,
  installed: Installed | undefined,
  context: Context,
): Promise<readonly TriedStep[]> {
  const { plan, server, key, limits, account } = subject;
  const busy = plan.forwards.some((forward) => listenedAt(forward).length > 0) && (await isRunning(plan.name, context));
  const alone = [...plan.hops.slice(0, -1), onlyWith(server, key.file, key.publicOnly)];
  const steps: TriedStep[] = [];
  const needs = {
    ...{ forwards: plan.forwards, limits, server, account, signal: context.signal },
    dial: () =>
      dial(subject, alone, context).catch((thrown: unknown) => Promise.reject(refused(thrown, installed, plan.name))),
    nowMs: () => performance.now(),
  };
  for await (const proved of proveKey(needs)) {
    const step = busy ? withHolder(proved, plan.name) : proved;
    steps.push(step);
    if (!context.json) for (const line of stepLines(step, context.out.theme)) context.out.data(line);
  }
  return steps;
}

async function overOtherLogin<T>(
  subject: Subject,
  context: Context,
  use: (account: Account) => Promise<T>,
): Promise<T> {
  const { account: name, key, dedicated } = subject;
  const transport = await dial(subject, await loginWithout(subject, context), context);
  try {
    return await use({ transport, name, key, dedicated, signal: context.signal });
  } finally {
    transport.close();
  }
}

async function dial({ plan }: Subject, hops: readonly HopPlan[], context: Context): Promise<SessionTransport> {
  const { dialOnce } = await import('../../compose-cli.ts');
  return dialOnce(dialRequest({ ...plan, hops }, context), context, (note) => context.out.detail(cleanLine(note)));
}

/** What a refusal of this very key means, and what to do next. */
function refused(thrown: unknown, installed: Installed | undefined, name: string): TunnelError {
  const error = asTunnelError(thrown);
  if (error.code !== 'LOGIN_REFUSED') return error;
  const hint =
    installed === undefined ? `Add the line first: \`tunnel authorize ${name} --install\` does it.` : NOT_READ;
  const loose = (installed?.loose ?? []).map((place) => (place === '.' ? '~' : `~/${place}`)).join(' ');
  const mode = loose === '' ? '' : `\nOthers can write to ${loose} there: \`chmod go-w ${loose}\`.`;
  return new TunnelError('LOGIN_REFUSED', error.message, { cause: error, hint: hint + mode });
}

const NOT_READ =
  'The line stands in ~/.ssh/authorized_keys there, and sshd takes no key from it. It may read another file (AuthorizedKeysFile),\n' +
  'distrust a place that others can write to (StrictModes), or be older than OpenSSH 7.8, which knows no permitlisten.';

/** SSH tells no reason: a tunnel that is up holds its own listeners. */
function withHolder(step: TriedStep, name: string): TriedStep {
  if (step.error?.code !== 'FORWARD_REFUSED') return step;
  const { message, cause } = step.error;
  const hint = `${name} is up and may hold it: \`tunnel down ${name}\`, then \`tunnel authorize ${name} --prove\`.`;
  return { ...step, error: new TunnelError('FORWARD_REFUSED', message, { cause, hint }) };
}
