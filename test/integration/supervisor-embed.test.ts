import { createServer } from 'node:net';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { greeting } from '../examples/embed.ts';
import { compose, planOfProfile, TunnelError, TunnelSupervisor, type StatusEvent } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd } from '../support/sshd.ts';
import { tempHome, viaSshd } from '../support/temp-home.ts';

async function withService<T>(use: (port: number) => Promise<T>): Promise<T> {
  const service = createServer((socket) => socket.end('+OK POP3 ready\r\n'));
  const port = await freePort();
  await new Promise<void>((resolve) => service.listen(port, '127.0.0.1', resolve));
  try {
    return await use(port);
  } finally {
    service.close();
  }
}

test('the example of the library does what it says', async () => {
  await using sshd = await startSshd();
  await using home = await tempHome();
  await withService(async (service) => {
    const text = `${viaSshd(sshd)}forwards:\n  - localhost:auto -> 127.0.0.1:${service}\n`;
    const file = await home.profile('pop-mail', text);
    expect(await greeting(file, join(home.dir, 'tunnel'))).toBe('+OK POP3 ready');
  });
});

test('a home keeps what is wanted and the chosen port over a crash, and logs what happened', async () => {
  await using sshd = await startSshd();
  await using home = await tempHome();
  await withService(async (service) => {
    const forwards = `forwards:\n  - localhost:auto -> 127.0.0.1:${service}\n`;
    await home.profile('pop-mail', `${viaSshd(sshd)}tags: [mail]\n${forwards}`);
    await home.profile('other', `${viaSshd(sshd)}${forwards}`);
    const first = new TunnelSupervisor(compose({ env: home.env }));
    await first.restore();
    const started = await first.up({ tag: 'mail' }, { cwd: home.dir });
    expect(started).toEqual([{ name: 'pop-mail', already: false, reloaded: false }]);
    const bind = await eventually(() => upBind(first));
    await first.close(0); // as a crash does, this withdraws nothing
    const second = new TunnelSupervisor(compose({ env: home.env }));
    await second.restore();
    expect(await eventually(() => upBind(second))).toBe(bind);
    await second.down({ all: true }, 0, { cwd: home.dir });
    await second.close();
    const third = new TunnelSupervisor(compose({ env: home.env }));
    await third.restore();
    expect(third.snapshot().tunnels).toEqual([]);
    await third.close();
  });
  const log = await readFile(join(home.stateDir, 'log', 'tunnel.jsonl'), 'utf8');
  const events = log.trimEnd().split('\n').map((line) => JSON.parse(line) as StatusEvent); // prettier-ignore
  const states = events.flatMap((event) => (event.event === 'tunnel' ? [event.status.state] : []));
  expect(states.filter((state) => state === 'up' || state === 'stopped')).toEqual(['up', 'stopped', 'up', 'stopped']);
  expect((await stat(join(home.stateDir, 'wanted.json'))).mode & 0o777).toBe(0o600);
});

test('two profiles of one up that want the same port are refused, one with mistakes has all of them told', async () => {
  await using home = await tempHome();
  const supervisor = new TunnelSupervisor(compose({ env: home.env, log: false }));
  const text = 'sshConfig: none\nvia: alice@pop.example.org\nforwards:\n  - 1110:pop.example.org:110\n';
  await home.profile('one', text);
  await home.profile('two', text);
  const refusal = async (names: readonly string[]): Promise<TunnelError> => {
    const error: unknown = await supervisor.up({ names }, { cwd: home.dir }).catch((reason: unknown) => reason);
    if (!(error instanceof TunnelError)) throw new Error('It was not refused');
    return error;
  };
  const { code, message } = await refusal(['one', 'two']);
  expect(code).toBe('PROFILE_CONFLICT');
  expect(message).toMatch(/^Cannot run these together: two \(.*\) and one \(.*\) both want localhost:1110$/);
  await home.profile('three', 'vai: x\nforwards: 7\n');
  expect((await refusal(['one', 'three'])).problems.length).toBeGreaterThan(1);
  expect(supervisor.snapshot().tunnels).toEqual([]);
  await supervisor.close();
});

test('a program runs a profile of its own making', async () => {
  await using sshd = await startSshd();
  await using home = await tempHome();
  const hop = { host: '127.0.0.1', port: sshd.port, user: sshd.user, identity: [sshd.identityFile], agent: false };
  const profile = {
    sshConfig: 'none',
    via: [{ ...hop, knownHosts: [sshd.knownHostsFile] }],
    forwards: [
      {
        kind: 'local',
        bind: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        target: { kind: 'tcp', host: '127.0.0.1', port: 9 },
      },
    ],
  } as const;
  const supervisor = new TunnelSupervisor(compose({ env: home.env, log: false }));
  await supervisor.apply([await planOfProfile(profile, 'own', { env: home.env })]);
  expect(await eventually(() => upBind(supervisor))).toMatch(/^127\.0\.0\.1:\d+$/);
  await supervisor.close();
});

function upBind(supervisor: TunnelSupervisor): string | undefined {
  const [tunnel] = supervisor.snapshot().tunnels;
  return tunnel?.state === 'up' ? tunnel.forwards[0]?.bind : undefined;
}
