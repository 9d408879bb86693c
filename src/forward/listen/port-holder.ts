import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { cleanLine } from '../../model/clean.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import type { Holder } from './bind-failure.ts';
import { boundSockets, unixListeners, type HeldSocket } from './proc-net.ts';

type Protocol = 'tcp' | 'udp';

/** A promise of section 6 of the figures to reach: a busy port is reported within a second, holder included. */
const DEADLINE_MS = 800;
/** One after the other takes too long on a desktop; all of a server with thousands would keep other work from the disk. */
const FILES_AT_ONCE = 64;

/**
 * Who listens where we wanted to: `held by nginx (pid 812)`. Resolves within a second with undefined where that
 * cannot be found out. Never rejects: it only makes a message better.
 */
export async function portHolder(endpoint: Endpoint, protocol: Protocol = 'tcp'): Promise<Holder | undefined> {
  const words = await holderWords(endpoint, protocol);
  return words === '' ? undefined : { words };
}

/** '' where it is unknown. */
async function holderWords(endpoint: Endpoint, protocol: Protocol): Promise<string> {
  const stop = AbortSignal.timeout(DEADLINE_MS);
  const late = new Promise<string>((resolve) => stop.addEventListener('abort', () => resolve(''), { once: true }));
  const search =
    process.platform === 'linux' ? holderFromProc(endpoint, protocol, stop) : holderFromLsof(endpoint, protocol);
  return Promise.race([search.catch(() => ''), late]); // whatever /proc or lsof refuse, we then do not know
}

async function holderFromProc(endpoint: Endpoint, protocol: Protocol, stop: AbortSignal): Promise<string> {
  const held = await socketsOf(endpoint, protocol);
  const [first] = held;
  if (first === undefined) return ''; // gone meanwhile, or in another network namespace
  const pid = await pidHolding(new Set(held.map(({ inode }) => `socket:[${inode}]`)), stop);
  if (pid !== undefined) return words(pid, await commandOf(pid));
  const user = first.uid === null ? undefined : await userName(first.uid);
  return user === undefined ? 'held by a process of another user' : `held by a process of user ${user}`;
}

async function socketsOf(endpoint: Endpoint, protocol: Protocol): Promise<readonly HeldSocket[]> {
  if (endpoint.kind === 'unix') return unixListeners(await readFile('/proc/net/unix', 'utf8'), endpoint.path);
  const tables = await Promise.all(
    [protocol, `${protocol}6`].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  return tables.flatMap((table) => boundSockets(table, endpoint.host, endpoint.port, protocol));
}

/** Looks through the open files of every process whose files we may see. */
async function pidHolding(links: ReadonlySet<string>, stop: AbortSignal): Promise<number | undefined> {
  for (const entry of await readdir('/proc')) {
    if (stop.aborted) return undefined;
    if (!/^\d+$/.test(entry)) continue;
    const folder = `/proc/${entry}/fd`;
    const files = await readdir(folder).catch(() => []); // another user's, or ended
    for (let at = 0; at < files.length && !stop.aborted; at += FILES_AT_ONCE) {
      const some = files.slice(at, at + FILES_AT_ONCE);
      const open = await Promise.all(some.map((file) => readlink(`${folder}/${file}`).catch(() => '')));
      if (open.some((link) => links.has(link))) return Number(entry);
    }
  }
  return undefined;
}

/** The program's name alone: its arguments may hold what is nobody's business. */
async function commandOf(pid: number): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const [program = ''] = line.split('\0');
  return program === '' ? (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim() : programName(program);
}

/** `/usr/sbin/nginx` → nginx; a process that wrote a title over its arguments (`nginx: master process …`) → nginx. */
function programName(program: string): string {
  return basename(program.replace(/:? .*$/s, ''));
}

async function userName(uid: number): Promise<string> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  const row = lines.map((line) => line.split(':')).find(([, , id]) => id === String(uid));
  return cleanLine(row?.[0] ?? String(uid), 40);
}

/** macOS and the BSDs. By argument vector, never a shell; a missing lsof (Windows) means that we do not know. */
function holderFromLsof(endpoint: Endpoint, protocol: Protocol): Promise<string> {
  const what = endpoint.kind === 'unix' ? ['-U', '-a', endpoint.path] : lsofSelection(endpoint.port, protocol);
  return new Promise((resolve) => {
    execFile('lsof', ['-nP', '-Fpc', ...what], { timeout: DEADLINE_MS }, (_error, stdout) => {
      const { pid, command } = parseLsof(stdout);
      resolve(pid === undefined ? '' : words(pid, command));
    });
  });
}

function lsofSelection(port: number, protocol: Protocol): string[] {
  return protocol === 'udp' ? [`-iUDP:${port}`] : [`-iTCP:${port}`, '-sTCP:LISTEN'];
}

/** Reads `lsof -F pc`: one field a line, its letter first; the first process is the one. */
export function parseLsof(text: string): { readonly pid: number | undefined; readonly command: string } {
  const field = (letter: string): string | undefined =>
    text
      .split('\n')
      .find((line) => line.startsWith(letter))
      ?.slice(1);
  const pid = Number(field('p'));
  return { pid: Number.isInteger(pid) && pid > 0 ? pid : undefined, command: field('c') ?? '' };
}

function words(pid: number, command: string): string {
  if (pid === process.pid) return 'held by this process itself'; // by none of its forwards: those name themselves
  return `held by ${cleanLine(command, 40) || 'a process'} (pid ${pid})`;
}
