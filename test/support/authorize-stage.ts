import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startSshd, type TestSshd } from './sshd.ts';
import { echo, TcpTarget } from './tcp-target.ts';
import { viaSshd } from './temp-home.ts';
import { tunnelCli, type Ran, type TunnelCli } from './tunnel-cli.ts';

/** A profile `mail`, a server that lets its login in, and an account there whose home is a folder of the test. */
export interface AuthorizeStage {
  readonly cli: TunnelCli;
  readonly sshd: TestSshd;
  readonly target: TcpTarget;
  /** The account's home as its sessions see it. */
  readonly account: string;
  /** The account's own authorized_keys. */
  readonly file: string;
  /** The dedicated key of `mail`. */
  readonly key: string;
  /** Writes `mail`, with these forwards in place of the one to the target. */
  profile(forwards?: string): Promise<string>;
  /** The lines of the account's authorized_keys. */
  lines(): Promise<string[]>;
  /** Runs OpenSSH's own client with the dedicated key alone. */
  ssh(...args: readonly string[]): Promise<Ran>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param config lines of sshd_config that come first @param home another home of the account */
export async function authorizeStage(config: readonly string[] = [], home?: string): Promise<AuthorizeStage> {
  const [cli, target] = [await tunnelCli(), await TcpTarget.start(echo)];
  const account = home ?? join(cli.home.dir, 'account');
  if (home === undefined) await mkdir(account);
  const file = join(account, '.ssh', 'authorized_keys');
  // The first file is the login that works already.
  const keys = join(cli.home.dir, 'existing_keys');
  const all = [...config, `SetEnv HOME=${account}`, `AuthorizedKeysFile ${keys} ${file}`];
  const sshd = await startSshd({ config: [...all, 'Subsystem sftp internal-sftp'] });
  await writeFile(keys, await readFile(sshd.authorizedKeysFile));
  const key = join(cli.home.dir, 'tunnel', 'keys', 'mail');
  const stage: AuthorizeStage = {
    ...{ cli, sshd, target, account, file, key },
    profile: (forwards = `  - localhost:auto -> 127.0.0.1:${target.port}\n`) =>
      cli.home.profile('mail', `${viaSshd(sshd)}forwards:\n${forwards}`),
    lines: async () => (await readFile(file, 'utf8')).split('\n').filter((line) => line !== ''),
    ssh: (...args) => ssh(sshd, key, args),
    [Symbol.asyncDispose]: async () => {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
  await stage.profile();
  return stage;
}

function ssh(sshd: TestSshd, key: string, args: readonly string[]): Promise<Ran> {
  const options = [
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    `UserKnownHostsFile=${sshd.knownHostsFile}`,
  ];
  const line = ['-F', 'none', ...options.flatMap((option) => ['-o', option]), '-i', key, '-p', String(sshd.port)];
  return new Promise((resolve) => {
    const child = execFile('ssh', [...line, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    child.stdin?.end();
  });
}
