import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { TestAgent } from '../support/ssh-agent.ts';
import { makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** A profile that logs in by the agent alone, or by these further fields of its server. */
function profile(cli: TunnelCli, name: string, sshd: TestSshd, more = ''): Promise<string> {
  const via = `{ host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, knownHosts: ${sshd.knownHostsFile}${more} }`;
  return cli.home.profile(name, `sshConfig: none\nvia: ${via}\nforwards: [ "127.0.0.1:auto -> 127.0.0.1:9" ]\n`);
}

test('an agent that is gone and back between two connects serves the second one', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using agent = await TestAgent.start(join(cli.home.dir, 'agent'));
  await agent.add(sshd.identityFile);
  await profile(cli, 'mail', sshd);
  const env = { SSH_AUTH_SOCK: agent.socket };

  const up = await cli.runWith({ env }, 'up', 'mail');
  await agent.stop();
  await agent.start();
  await agent.add(sshd.identityFile);
  await sshd.killSessions();
  await eventually(() => sshd.logins === 2, { withinMs: 15_000 });

  expect(up.code).toBe(0);
  await cli.becomes('mail', 'up');
});

test('an agent that hangs costs five seconds and not the login: the key file serves', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using agent = await TestAgent.start(join(cli.home.dir, 'agent'));
  await profile(cli, 'mail', sshd, `, identity: [${sshd.identityFile}]`);
  await agent.freeze();

  const up = await cli.runWith({ env: { SSH_AUTH_SOCK: agent.socket } }, 'up', 'mail');

  expect(up.code).toBe(0);
  await cli.logged('mail', 'the agent did not answer within 5 s');
});

test('of an agent with more keys than the server takes tries the named one is offered first, and otherwise none too many', async () => {
  await using sshd = await startSshd({ config: ['KbdInteractiveAuthentication no'] });
  await using cli = await tunnelCli();
  await using agent = await TestAgent.start(join(cli.home.dir, 'agent'));
  for (let index = 0; index < 8; index++) {
    const wrong = join(cli.home.dir, `wrong${index}`);
    await makeKey(wrong, 'ed25519');
    await agent.add(wrong);
  }
  await agent.add(sshd.identityFile);
  const named = join(cli.home.dir, 'named');
  await writeFile(`${named}.pub`, await readFile(`${sshd.identityFile}.pub`));
  await profile(cli, 'named', sshd, `, identity: [${named}]`);
  await profile(cli, 'unnamed', sshd);
  const env = { SSH_AUTH_SOCK: agent.socket };

  const right = await cli.runWith({ env }, 'up', 'named');
  const failedBefore = failures(sshd);
  const refused = await cli.runWith({ env }, 'up', 'unnamed');

  expect([right.code, failedBefore]).toEqual([0, 0]);
  expect([refused.code, failures(sshd)]).toEqual([4, 5]); // sshd's MaxAuthTries is 6: the sixth would end the connection
  expect(sshd.log).not.toMatch(/too many authentication failures|maximum authentication attempts/i);
});

/** Keys that the server has refused. */
function failures({ log }: TestSshd): number {
  return log.match(/^Failed publickey /gm)?.length ?? 0;
}
