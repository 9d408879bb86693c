import { randomBytes } from 'node:crypto';
import type { SessionTransport } from '../link/transport.ts';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { isOwnLine, type PublicKey } from './authorized-line.ts';
import {
  changeScript,
  lookScript,
  readScriptOutput,
  SCRIPT_COMMAND,
  type Change,
  type ScriptSaid,
} from './remote-script.ts';

/** Whose authorized_keys is looked after, and for which key. */
export interface Account {
  /** A login that may run commands. */
  readonly transport: SessionTransport;
  /** `alice@pop.example.org:22`. */
  readonly name: string;
  readonly key: PublicKey;
  /** Nothing else uses the key: a line of ours for it can be replaced. */
  readonly dedicated: boolean;
  readonly signal: AbortSignal;
}

export interface Installed {
  readonly state: 'added' | 'replaced' | 'present';
  /** Places there that others may write to: sshd then takes no key from them (StrictModes). */
  readonly loose: readonly string[];
}

/**
 * Sees to it that ~/.ssh/authorized_keys has this line for the key, once and no other.
 * @throws REMOTE_COMMAND where the server runs nothing or the file cannot be changed, KEY_UNLIMITED where the key stands there
 *   already in a line that is not ours
 */
export async function installLine(line: string, account: Account): Promise<Installed> {
  const { rows, loose } = await look(account);
  if (rows.length === 1 && rows[0] === line) return { state: 'present', loose };
  const others = rows.filter((row) => row !== line);
  const foreign = others.find((row) => !account.dedicated || !isOwnLine(row, account.key));
  if (foreign !== undefined) throw standsThere(foreign, account);
  const said = await change({ drop: others, add: line }, account);
  return { state: others.length > 0 ? 'replaced' : 'added', loose: said.loose };
}

/** Takes every line of the key out. @returns how many there were @throws REMOTE_COMMAND */
export async function removeLines(account: Account): Promise<number> {
  const { rows } = await look(account);
  if (rows.length > 0) await change({ drop: [...new Set(rows)], add: '' }, account);
  return rows.length;
}

async function look(account: Account): Promise<ScriptSaid> {
  const said = await run((mark) => lookScript(account.key.blob, mark), 'read', account);
  return { ...said, rows: said.rows.filter((row) => !/^\s*#/.test(row)) };
}

function change(wanted: Change, account: Account): Promise<ScriptSaid> {
  return run((mark) => changeScript(wanted, mark), 'change', account);
}

async function run(scriptFor: (mark: string) => string, verb: string, account: Account): Promise<ScriptSaid> {
  const { transport, signal, name } = account;
  const mark = `tunnel-${randomBytes(8).toString('hex')}`;
  const input = scriptFor(mark);
  const { granted, output, errors, status } = await transport.runSession(
    { kind: 'command', command: SCRIPT_COMMAND, input },
    signal,
  );
  const said = readScriptOutput(output.toString('utf8'), mark);
  if (said.done) return said;
  const why = granted ? complaint(errors, output, status) : 'the server runs no command for this login';
  throw new TunnelError('REMOTE_COMMAND', `Cannot ${verb} ~/.ssh/authorized_keys of ${name}: ${why}`, {
    hint: 'Have the line added by somebody who can, then prove it with --prove.',
  });
}

/** What a shell says last is what stopped it; a login that is no shell (nologin) says so on standard output. */
function complaint(errors: Buffer, output: Buffer, status: number | null): string {
  const lines = [output, errors]
    .flatMap((text) => text.toString('utf8').split('\n'))
    .map((text) => cleanLine(text, 200));
  const last = lines.filter((text) => text !== '').at(-1);
  return last ?? (status === null ? 'the command was ended there' : `the command ended with status ${status}`);
}

function standsThere(row: string, { name, dedicated }: Account): TunnelError {
  const said = cleanLine(row, 300);
  return new TunnelError('KEY_UNLIMITED', `Cannot put the line at ${name}: the key stands there already, as: ${said}`, {
    hint: dedicated
      ? 'sshd takes the first line that names a key: remove that one there, or put the new permissions into it.'
      : 'sshd takes the first line that names a key. Leave --key out: a key of its own takes nothing from others.',
  });
}
