import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import { matchesHost } from '../../src/known-hosts/match.ts';
import { formatKnownHost } from '../../src/known-hosts/parse.ts';
import { wireString } from '../../src/model/wire.ts';
import { startSshd } from '../support/sshd.ts';
import { tempHome } from '../support/temp-home.ts';

const run = promisify(execFile);
const KEY = Buffer.concat([wireString('ssh-ed25519'), wireString(Buffer.alloc(32, 1))]);

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

/** A process of ours that does this to the file. */
function writer(file: string, verb: 'append' | 'remove', prefix: string, count: number): Promise<unknown> {
  const script = 'test/support/known-hosts-writer.ts';
  return run(process.execPath, ['--import', 'tsx', script, file, verb, prefix, String(count)]);
}

/** One command after the other, for each name, in a process of its own. */
function each(hosts: readonly string[], command: string): Promise<unknown> {
  return run('sh', ['-c', `for name in ${hosts.join(' ')}; do ${command} || exit; done`]);
}

/** Which of the hosts the file knows. */
async function known(file: string, hosts: readonly string[]): Promise<readonly string[]> {
  const { entries } = await readKnownHosts([file]);
  return hosts.filter((host) => entries.some((entry) => matchesHost(entry.hosts, host)));
}

async function knownHostsOf(file: string, hosts: readonly string[]): Promise<void> {
  await writeFile(file, ['# kept', ...hosts.map((host) => formatKnownHost(host, KEY)), ''].join('\n'));
}

test(
  'processes that record and remove at once, and ssh with accept-new, lose nothing',
  { timeout: 30_000 },
  async () => {
    await using sshd = await startSshd();
    await using home = await tempHome();
    const file = join(home.dir, 'known_hosts');
    await knownHostsOf(file, [...names('gone', 8), ...names('away', 8), ...names('left', 8)]);
    const accept = `ssh -F none -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=${file} -o GlobalKnownHostsFile=none \
    -o BatchMode=yes -o HostKeyAlias=$name -i ${sshd.identityFile} -p ${sshd.port} ${sshd.user}@127.0.0.1 true`;

    await Promise.all([
      writer(file, 'append', 'one', 12),
      writer(file, 'append', 'two', 12),
      writer(file, 'remove', 'gone', 8),
      writer(file, 'remove', 'away', 8),
      each(names('ssh-one', 4), accept),
      each(names('ssh-two', 4), accept),
    ]);

    const added = [...names('one', 12), ...names('two', 12), ...names('ssh-one', 4), ...names('ssh-two', 4)];
    const expected = [...names('left', 8), ...added];
    expect(await known(file, [...names('gone', 8), ...names('away', 8), ...expected])).toEqual(expected);
    expect(await readFile(file, 'utf8')).toMatch(/^# kept\n/);
  },
);

test(
  'what we record and remove stays while ssh-keygen rewrites the file again and again',
  { timeout: 30_000 },
  async () => {
    await using home = await tempHome();
    const file = join(home.dir, 'known_hosts');
    await knownHostsOf(file, [...names('filler', 40), ...names('gone', 12)]);

    await Promise.all([
      writer(file, 'append', 'one', 12),
      writer(file, 'remove', 'gone', 12),
      each(names('filler', 40), `ssh-keygen -q -R $name -f ${file}`),
    ]);
    await run('ssh-keygen', ['-q', '-H', '-f', file]);

    expect(await known(file, [...names('gone', 12), ...names('one', 12)])).toEqual(names('one', 12));
  },
);

test('a lock that a dead process left behind holds nobody up', async () => {
  await using home = await tempHome();
  const file = join(home.dir, 'known_hosts');
  await knownHostsOf(file, ['old']);
  const child = execFile('true');
  await new Promise((resolve) => child.once('exit', resolve));
  await writeFile(`${file}.lock`, String(child.pid));

  await writer(file, 'append', 'one', 1);

  expect(await known(file, ['old', 'one-0'])).toEqual(['old', 'one-0']);
});
