// debian: gnome-keyring dbus-daemon dbus-bin libsecret-1-0
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DesktopSession } from '../support/desktop-session.ts';
import { eventually } from '../support/eventually.ts';
import { leaksOf } from '../support/leaks.ts';
import { byPassword, loginStage, type LoginStage } from '../support/login-stage.ts';
import { Terminal } from '../support/pty.ts';
import { TUNNEL, type Ran } from '../support/tunnel-cli.ts';

const PASSWORD = 'marker-keychain-6Vd3';
const TIME = { timeout: 40_000 };

let session: DesktopSession;
beforeEach(async () => {
  session = await DesktopSession.start();
  await session.startKeyring('pw');
});
afterEach(() => session[Symbol.asyncDispose]());

/** A command inside the desktop session, in the test's own home. */
function run(on: LoginStage, stdin: string, ...args: readonly string[]): Promise<Ran> {
  return on.cli.runWith({ env: inSession(on), stdin }, ...args);
}

function inSession(on: LoginStage): Record<string, string> {
  return { ...session.env, ...on.cli.home.env };
}

/** Profile `mail` at a server that wants the password, which the keychain holds. */
async function stored(): Promise<LoginStage> {
  const on = await loginStage(byPassword(PASSWORD));
  await on.profile('mail');
  expect(await run(on, `${PASSWORD}\n`, 'secret', 'set', 'mail', '--stdin')).toMatchObject({ code: 0 });
  return on;
}

test('the password of a login comes out of gnome-keyring, nobody is asked, and it shows up nowhere', TIME, async () => {
  await using on = await stored();

  const up = await run(on, '', '-v', 'up', 'mail');
  for (const socket of on.server.sockets) socket.destroy();
  await eventually(() => on.server.attempts.length === 2, { withinMs: 10_000 });
  await on.cli.becomes('mail', 'up');

  const logs = await on.cli.run('logs', 'mail', '--json');
  const texts = { up: up.stdout + up.stderr, logs: logs.stdout + logs.stderr };
  expect([up.code, on.server.attempts]).toEqual([0, ['password', 'password']]);
  expect(
    await leaksOf({ password: PASSWORD }, { texts, folders: [on.cli.home.dir], processes: on.cli.home.dir }),
  ).toEqual([]);
});

test('where the keychain is locked a person is asked, and the tunnel comes up', TIME, async () => {
  await using on = await stored();
  await session.endKeyring();
  await session.startKeyring();

  const alone = await run(on, '', 'up', 'mail');
  const waiting = await on.cli.status('mail');
  await using screen = new Terminal(process.execPath, [TUNNEL, 'answer'], {
    env: inSession(on),
    cwd: on.cli.home.dir,
  });
  await screen.expect("alice@127.0.0.1's password:");
  screen.enter(PASSWORD);
  await screen.expect(/mail +.* +up/);

  expect([alone.code, waiting.state, await screen.exit()]).toEqual([4, 'waiting', 0]);
});

test('where the keychain hangs it is said, and a person is asked in time', TIME, async () => {
  await using on = await stored();
  session.freezeKeyring();

  const alone = await run(on, '', 'up', 'mail');
  const { state } = await on.cli.status('mail');
  session.thawKeyring();

  expect([alone.code, state]).toEqual([4, 'waiting']);
  // Once for the whole supervisor, and so of no tunnel.
  expect((await on.cli.ok('logs')).stdout).toMatch(/OS keychain.*did not answer within/);
});
