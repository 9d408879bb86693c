// debian: debootstrap
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { faultyPath } from '../support/faulty-path.ts';
import { makeKey } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { TRIXIE } from '../support/trixie.ts';
import { tunnelStage } from '../support/tunnel-stage.ts';

const PENALTIES = { root: TRIXIE, config: ['LogLevel DEBUG1'] };
/** What sshd 9.8 and later logs of a connection that it does not even greet. */
const BARRED = /drop connection .* penalty/;

/** One connection that goes without a login, as a port scanner's. */
async function knock(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'data');
  socket.destroy();
}

test(
  'six profiles whose key is refused do not bar this address for the seventh, whose key is right',
  { timeout: 60_000 },
  async () => {
    await using on = await tunnelStage(PENALTIES);
    const wrong = join(on.cli.home.dir, 'wrong');
    await makeKey(wrong, 'ed25519');
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const name of names) await on.profile(name, [`identity: [${wrong}]`, 'agent: false', on.trust]);
    await on.profile('right');

    const up = await on.cli.run('up', ...names, 'right', '--wait', '40s');

    expect(up.code).toBe(4);
    await on.cli.becomes('right', 'up', 40_000);
    expect(await ask(await on.cli.port('right'), 'hello')).toBe('hello');
    expect(on.sshd.log).not.toMatch(BARRED);
  },
);

test('a link that is cut again and again is back each time, and not barred', { timeout: 60_000 }, async () => {
  await using on = await tunnelStage(PENALTIES);
  await using path = await faultyPath(on.sshd.port);
  await on.cli.home.profile(
    't',
    `${viaSshd(on.sshd, path.port)}reconnect: { initial: 100ms, max: 1s }\nforwards: [ 127.0.0.1:auto -> 127.0.0.1:${on.target.port} ]\n`,
  );
  await on.proves('t');

  const port = await on.cli.port('t');
  for (let cut = 1; cut <= 12; cut += 1) {
    path.reset();
    expect(await ask(port, `after cut ${cut}`)).toBe(`after cut ${cut}`);
  }

  expect(on.sshd.logins).toBe(13);
  expect(on.sshd.log).not.toMatch(BARRED);
});

test(
  'an address that somebody else got barred is told why, is not barred for longer by us, and comes up by itself',
  { timeout: 90_000 },
  async () => {
    const config = ['PerSourcePenalties noauth:12s min:10s', ...PENALTIES.config];
    await using on = await tunnelStage({ ...PENALTIES, config });
    await on.profile('t', on.login, ['reconnect: { initial: 500ms, max: 2s }']);
    await eventually(async () => {
      await Promise.race([knock(on.sshd.port), once(AbortSignal.timeout(300), 'abort')]);
      return BARRED.test(on.sshd.log);
    });
    const up = await on.cli.run('up', 't', '--wait', '1s', '--json');

    expect(up.code).toBe(7);
    expect(up.stdout).toContain('PerSourcePenalties');
    await on.cli.becomes('t', 'up', 45_000);
    expect(await ask(await on.cli.port('t'), 'hello')).toBe('hello');
    expect(on.sshd.log.match(new RegExp(BARRED, 'g'))?.length).toBeLessThan(20);
  },
);
