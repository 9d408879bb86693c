/** The programs that are measured side by side, each with a tunnel to the same port through the same sshd. */
import { spawn, type ChildProcess } from 'node:child_process';
import { freePort, type TestSshd } from '../support/sshd.ts';
import { tempHome, viaSshd } from '../support/temp-home.ts';
import { eventually } from '../support/eventually.ts';
import { firstByteUs } from './measure.ts';

export interface Contestant {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** The cipher of both in the like-for-like rounds: the one that both ends do fastest. */
const CIPHER = 'aes128-gcm@openssh.com';

export async function startTunnel(sshd: TestSshd, targetPort: number): Promise<Contestant> {
  const home = await tempHome();
  const port = await freePort();
  const profile = `${viaSshd(sshd)}    ciphers: [${CIPHER}]\nforwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${targetPort}\n`;
  await home.profile('bench', profile);
  const child = spawn(process.execPath, ['bin/tunnel.js', 'up', 'bench', '--foreground', '--quiet'], {
    env: home.env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return contestant('tunnel', port, child, () => home.remove());
}

export async function startSsh(sshd: TestSshd, targetPort: number): Promise<Contestant> {
  const port = await freePort();
  const child = spawn(
    'ssh',
    [
      ...['-N', '-F', 'none', '-i', sshd.identityFile, '-o', 'IdentityAgent=none', '-o', `Ciphers=${CIPHER}`],
      ...['-o', `UserKnownHostsFile=${sshd.knownHostsFile}`, '-o', 'BatchMode=yes', '-o', 'ExitOnForwardFailure=yes'],
      ...['-L', `127.0.0.1:${port}:127.0.0.1:${targetPort}`, '-p', String(sshd.port), `${sshd.user}@127.0.0.1`],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  return contestant('ssh -L', port, child, () => Promise.resolve());
}

async function contestant(
  name: string,
  port: number,
  child: ChildProcess,
  cleanUp: () => Promise<void>,
): Promise<Contestant> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    await cleanUp();
  };
  await eventually(() => firstByteUs(port, 1), { withinMs: 20_000, what: `${name} on port ${port}` });
  if (child.pid === undefined) throw new Error(`${name} did not start`);
  return { name, port, pid: child.pid, stop };
}
