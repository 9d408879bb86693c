import { appendFileSync, closeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { AdHocPlan } from '../../compose-plan.ts';
import type { Ask } from '../../link/ask.ts';
import { asTunnelError, FAILURES, TunnelError } from '../../model/failure.ts';
import type { ForwardSpec } from '../../model/forward-spec.ts';
import type { ForwardPlan } from '../../model/plan.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { runInBackground, starter, type Starter } from '../ssh/background.ts';
import { asksVersion, readSshCommand, type SshCommand } from '../ssh/command-line.ts';
import { allForwards, sessionRules, type SessionRules } from '../ssh/config.ts';
import { controlMaster } from '../ssh/control.ts';
import { serveMux } from '../ssh/mux-socket.ts';
import { saveCommand } from '../ssh/save.ts';
import { FAILED, SshSession, type SessionTalk } from '../ssh/session.ts';
import { askOnTerminal } from '../ssh/terminal.ts';

/** `tunnel ssh …`: what `ssh -N` does, in this process. 0, or 255 for every failure. */
export const run: Run = async (words, _options, context) => {
  const parent = starter(context.env);
  const plainSay = parent?.say.bind(parent) ?? ((line: string) => context.out.warn(line));
  try {
    if (asksVersion(words)) {
      plainSay(`tunnel ${context.version}`); // where ssh says what it is: on stderr
      return 0;
    }
    const command = readSshCommand(words, context.cwd);
    return await perform(command, words, parent, context);
  } catch (thrown) {
    const error = asTunnelError(thrown);
    if (error.code !== 'INTERRUPTED')
      for (const line of [error.message, ownHint(error)]) if (line !== '') plainSay(line);
    return FAILED;
  }
};

/** The hint that every wrong command line has speaks of `tunnel help`, and not of ssh's options. */
function ownHint({ code, hint }: TunnelError): string {
  return code === 'USAGE' && hint === FAILURES.USAGE.hint ? '' : hint;
}

async function perform(
  command: SshCommand,
  words: readonly string[],
  parent: Starter | undefined,
  context: Context,
): Promise<number> {
  const adHoc = await planOf(command, context);
  const { settings, plan } = adHoc;
  const { out } = context;
  if (command.action === 'print') {
    for (const [name, values] of settings.said) for (const value of values) out.data(`${name} ${value}`);
    return 0;
  }
  const rules = sessionRules(settings, command);
  const controlPath = rules.controlPath === null ? null : adHoc.expand(rules.controlPath);
  const say = sayer(command, rules, parent, context);
  const debug = (line: string): void => (rules.loudness === 'debug' ? say(`debug1: ${line}`) : undefined);
  if (typeof command.action === 'object') {
    return controlMaster(command.action.control, command.forwards, controlPath, {
      say,
      debug,
      data: (line) => out.data(line),
    });
  }
  refuseShell(command, plan.forwards.length, rules);
  if (command.saveAs !== null && parent === undefined) await saveCommand(command.saveAs, words, say, context);
  const note = rules.loudness === 'errors' ? (): void => undefined : say;
  for (const warning of plan.warnings) if (!isWrongHere(warning)) note(warning);
  const ask = parent?.ask ?? askOnTerminal({ ...rules, say });
  if ((command.background || persists(command, rules)) && parent === undefined) {
    return runInBackground(process.argv.slice(1), { say, ask, signal: context.signal });
  }
  return hold(command, adHoc, rules, controlPath, { say, note, debug, ask, parent }, context);
}

/** ControlPersist: a master goes to the background by itself once it is logged in, as ssh's does. */
function persists({ stdio, action }: SshCommand, { master, controlPath, persistMs }: SessionRules): boolean {
  return master && controlPath !== null && persistMs !== null && stdio === null && action === 'forward';
}

interface Talk extends Pick<SessionTalk, 'say' | 'note' | 'debug'> {
  readonly ask: Ask;
  readonly parent: Starter | undefined;
}

async function hold(
  command: SshCommand,
  adHoc: AdHocPlan,
  rules: SessionRules,
  controlPath: string | null,
  { parent, ...talk }: Talk,
  context: Context,
): Promise<number> {
  const { openEngine } = await import('../../compose-cli.ts');
  const { env, signal } = context;
  const agentSocket = env['SSH_AUTH_SOCK'] === '' ? undefined : env['SSH_AUTH_SOCK'];
  const engine = openEngine(context, (note) => talk.debug(note));
  const session = new SshSession(adHoc, rules, engine, { ...talk, agentSocket, signal });
  const exit = new AbortController();
  try {
    await session.connect();
    if (command.action === 'login') return 0;
    const complete = await session.openForwards();
    if (!complete && rules.exitOnForwardFailure) return FAILED;
    if (rules.master && controlPath !== null) {
      const permit = adHoc.settings.permitRemoteOpen;
      await becomeMaster(controlPath, { session, exit, permit, say: talk.say }, context);
    }
    parent?.ready();
    if (command.stdio !== null) {
      const ends = { input: process.stdin, output: process.stdout, closed: () => closeSync(1) };
      return await session.pipe(command.stdio, ends);
    }
    const asked = new Promise<'exit'>((resolve) => exit.signal.addEventListener('abort', () => resolve('exit')));
    const ends: Promise<TunnelError | 'exit'>[] = [session.lost(), asked];
    if (parent !== undefined && persists(command, rules)) ends.push(session.unused(rules.persistMs ?? Infinity));
    const ending = await Promise.race(ends);
    if (ending === 'exit') return 0;
    session.explain(ending);
    return FAILED;
  } catch (thrown) {
    const error = asTunnelError(thrown);
    if (error.code !== 'INTERRUPTED') session.explain(error);
    return FAILED;
  } finally {
    if (controlPath !== null && mine.has(controlPath)) await rm(controlPath, { force: true });
    await session.close();
  }
}

/** Control sockets that this process made, and takes away with itself. */
const mine = new Set<string>();

interface Master {
  readonly session: SshSession;
  readonly exit: AbortController;
  /** PermitRemoteOpen */
  readonly permit: readonly string[] | null;
  readonly say: (line: string) => void;
}

async function becomeMaster(path: string, { session, exit, permit, say }: Master, context: Context): Promise<void> {
  try {
    await serveMux(path, {
      forward: async (spec) => {
        const plain = await forwardPlan(spec, context);
        const plan = plain.kind === 'remote-socks' ? { ...plain, permit } : plain;
        const error = await session.open(plan);
        if (error !== null) throw error;
        const choosesPort = spec.kind === 'remote' && spec.bind.kind === 'tcp' && spec.bind.port === 0;
        return choosesPort ? Number(/\d+$/.exec(session.boundAt(plan) ?? '')?.[0] ?? 0) : undefined;
      },
      cancel: async (spec) => {
        if (await session.cancel(await forwardPlan(spec, context))) return;
        throw new TunnelError('FILE', 'port not forwarded');
      },
      exit: () => exit.abort(),
    });
    mine.add(path);
  } catch (thrown) {
    say(asTunnelError(thrown).message); // as ssh: the connection stays, without a master
  }
}

async function forwardPlan(spec: ForwardSpec, context: Context): Promise<ForwardPlan> {
  const { planOf: resolve } = await import('../../compose-cli.ts');
  const [plan] = (await resolve({ forwards: [spec] }, context)).forwards;
  if (plan === undefined) throw new TunnelError('NOT_SUPPORTED', `Cannot open a ${spec.kind} forward`);
  return plan;
}

async function planOf(command: SshCommand, { env }: Context): Promise<AdHocPlan> {
  const { adHocPlan } = await import('../../compose-plan.ts');
  const { configFile, overrides, server } = command;
  const profile = { via: [server], forwards: [], ...(configFile === null ? {} : { sshConfig: configFile }) };
  return adHocPlan(profile, { env, overrides }, (written, settings) => ({
    ...written,
    whileDown: 'refuse',
    forwards: typeof command.action === 'object' ? [] : allForwards(command, settings),
  }));
}

/** A tunnel in the background asks about an unknown host key all the same; here `yes` is what ssh makes of it. */
function isWrongHere(warning: string): boolean {
  return warning.includes('StrictHostKeyChecking yes');
}

/** Without -N ssh would open a shell: with forwards to hold that is not what a script wants, without them it is all. */
function refuseShell(
  { noShell, stdio, action, background }: SshCommand,
  forwards: number,
  { master }: SessionRules,
): void {
  if (action === 'login' || noShell || stdio !== null || forwards > 0 || (master && background)) return;
  throw new TunnelError('NOT_SUPPORTED', 'Cannot open a shell on the server: tunnel ssh only forwards', {
    hint: 'Add -N to hold the connection, or use ssh for a shell.',
  });
}

function sayer(
  { logFile }: SshCommand,
  { loudness }: SessionRules,
  parent: Starter | undefined,
  { out }: Context,
): (line: string) => void {
  if (loudness === 'quiet') return () => undefined;
  if (logFile !== null) return (line) => appendFileSync(logFile, `${line}\n`, { mode: 0o600 });
  return parent === undefined ? (line) => out.warn(line) : (line) => parent.say(line);
}
