import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { expect, test } from 'vitest';
import { parseTotp, totpCode, totpStep } from '../../src/secrets/totp.ts';
import { eventually } from '../support/eventually.ts';
import { loginStage, type LoginStage } from '../support/login-stage.ts';
import { Terminal } from '../support/pty.ts';
import { descendants, makeKey } from '../support/sshd.ts';
import { TestAgent } from '../support/ssh-agent.ts';
import { TUNNEL } from '../support/tunnel-cli.ts';

/** A server that wants a key, and then right answers to these rounds of questions. */
async function twoFactors(rounds: readonly { readonly prompt: string; readonly right: (answer: string) => boolean }[]) {
  const allowed: Buffer[] = [];
  const half = new WeakSet<object>();
  const on = await loginStage(
    (attempt, server) => {
      const connection = server.connections.at(-1) ?? {};
      if (attempt.method === 'publickey' && allowed.some((one) => one.equals(attempt.key.data))) {
        if (attempt.signature === undefined) return attempt.accept();
        half.add(connection);
        return attempt.reject(['keyboard-interactive'], true);
      }
      if (attempt.method !== 'keyboard-interactive' || !half.has(connection)) return attempt.reject(['publickey']);
      const ask = (index: number): void => {
        const round = rounds[index];
        if (round === undefined) return attempt.accept();
        const text = { name: 'Second \u001b[31mfactor', instructions: 'Take the \u0007device out.\r\nNow.' };
        attempt.prompt([{ prompt: round.prompt, echo: false }], text.name, text.instructions, (answers) => {
          const [answer = ''] = answers;
          if (round.right(answer)) ask(index + 1);
          else attempt.reject(['keyboard-interactive']);
        });
      };
      ask(0);
    },
    { banner: 'Visit \u001b[31mthe gate\r\nfirst' },
  );
  const key = join(on.cli.home.dir, 'id');
  await makeKey(key, 'ed25519');
  const parsed = ssh2.utils.parseKey(await readFile(`${key}.pub`));
  if (parsed instanceof Error) throw parsed;
  allowed.push(parsed.getPublicSSH());
  return Object.assign(on, { key });
}

function terminal(on: LoginStage, ...args: readonly string[]): Terminal {
  return new Terminal(process.execPath, [TUNNEL, ...args], { env: on.cli.home.env, cwd: on.cli.home.dir });
}

test(
  'after a loss a tunnel that needs a code waits, tells its hook, and any terminal can answer',
  { timeout: 40_000 },
  async () => {
    const rounds = [
      { prompt: 'Code: ', right: (answer: string) => answer === '314159' },
      { prompt: 'Code of the \u001b[2Jother device: ', right: (answer: string) => answer === '271828' },
    ];
    await using on = await twoFactors(rounds);
    await using agent = await TestAgent.start(join(on.cli.home.dir, 'agent.sock'));
    await agent.add(on.key);
    const told = join(on.cli.home.dir, 'told');
    await writeFile(told, '');
    const hook = `hooks: { waiting: 'echo "$TUNNEL_NAME $TUNNEL_STATE" >> ${told}' }\n`;
    await on.profile('vpn', `${hook}secrets: { totp: prompt }\n`, [`agent: ${agent.socket}`]);

    const answerAll = async (screen: Terminal): Promise<void> => {
      await screen.expect(/vpn: \S+ says: Visit \\u001b\[31mthe gate\s+vpn: \S+ says: first/);
      await screen.expect('Second \\u001b[31mfactor');
      await screen.expect(/Take the \\u0007device out\.\s+Now\./);
      await screen.expect('Code:');
      screen.enter('314159');
      await screen.expect('Code of the \\u001b[2Jother device:');
      screen.enter('271828');
      await screen.expect(/vpn +.* +up/);
    };
    await using up = terminal(on, 'up', 'vpn');
    await answerAll(up);
    expect(await up.exit()).toBe(0);

    const supervisor = await on.cli.supervisorPid();
    // One for each question, one after the other: between the two no process of theirs is there.
    const hooked = async (): Promise<boolean> => (await readFile(told, 'utf8')) === 'vpn waiting\n'.repeat(2);
    await eventually(async () => (await hooked()) && (await descendants(supervisor)).length === 0, {
      what: 'the end of the hooks of `up`',
    });
    await writeFile(told, ''); // whoever was asked at `up` was told of it, too
    for (const socket of on.server.sockets) socket.destroy();
    await on.cli.becomes('vpn', 'waiting');
    await eventually(async () => (await readFile(told, 'utf8')) === 'vpn waiting\n');
    await using status = terminal(on, 'status');
    await status.expect('vpn waits for an answer: tunnel answer');
    await using answer = terminal(on, 'answer');
    await answerAll(answer);
    expect(await answer.exit()).toBe(0);
    expect(on.server.attempts.filter((method) => method === 'keyboard-interactive')).toHaveLength(3);
    for (const code of ['314159', '271828']) expect(up.text + answer.text).not.toContain(code);
  },
);

test('with a stored seed the reconnect answers by itself, with another code', { timeout: 40_000 }, async () => {
  const uri = 'otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=2';
  const totp = parseTotp(uri);
  if (totp === undefined) throw new Error('The seed is none');
  const given: string[] = [];
  const right = (answer: string): boolean => {
    given.push(answer);
    const step = totpStep(totp, Date.now());
    return [step - 2, step - 1, step].map((one) => totpCode(totp, one)).includes(answer); // busy machines are slow
  };
  await using on = await twoFactors([{ prompt: 'Verification code: ', right }]);
  const keyFile = join(on.cli.home.dir, 'vault.key');
  await writeFile(keyFile, 'J3jbQ0vVt8Xk', { mode: 0o600 });
  const env = { TUNNEL_VAULT_KEY_FILE: keyFile };
  await on.profile('vpn', 'secrets: { totp: vault }\n', ['agent: false', `identity: [${on.key}]`]);
  const stored = await on.cli.runWith({ env, stdin: uri }, 'secret', 'set', 'totp', 'vpn', '--vault', '--stdin');
  expect({ code: stored.code, warns: stored.stderr.includes('makes two factors one') }).toEqual({
    code: 0,
    warns: true,
  });

  expect((await on.cli.runWith({ env }, 'up', 'vpn')).code).toBe(0);
  for (const socket of on.server.sockets) socket.destroy();
  await eventually(() => given.length === 2, { withinMs: 10_000 });
  await on.cli.becomes('vpn', 'up');
  expect(new Set(given).size).toBe(2);
});

test('what is no seed is not stored as one', async () => {
  await using on = await loginStage((attempt) => attempt.reject());
  const ran = await on.cli.runWith({ stdin: 'hunter2' }, 'secret', 'set', 'totp', on.subject, '--vault', '--stdin');
  expect(ran.code).toBe(2);
  expect(ran.stdout + ran.stderr).not.toContain('hunter2');
});
