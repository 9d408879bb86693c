import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { faultyPath } from '../support/faulty-path.ts';
import { startSshd } from '../support/sshd.ts';

const run = promisify(execFile);

test('the test server lets ssh itself in, directly and over a faulty path, and counts the logins', async () => {
  await using sshd = await startSshd();
  await using path = await faultyPath(sshd.port);

  for (const port of [sshd.port, path.port]) {
    const { stdout } = await run('ssh', [
      ...['-F', 'none', '-i', sshd.identityFile, '-o', `UserKnownHostsFile=${sshd.knownHostsFile}`],
      ...['-o', 'BatchMode=yes', '-o', 'IdentityAgent=none', '-p', String(port), `${sshd.user}@127.0.0.1`, 'echo in'],
    ]);
    expect(stdout).toBe('in\n');
  }

  expect(sshd.logins).toBe(2);
});
