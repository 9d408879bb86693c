import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestSshd } from './sshd.ts';

/** A TUNNEL_HOME of its own, with a HOME that has no keys and no ssh_config. Removed by `remove`. */
export class TempHome {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** The environment for a command that lives in this home: nothing of the developer's agent or configuration leaks in. */
  get env(): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.dir,
      TUNNEL_HOME: join(this.dir, 'tunnel'),
      LANG: 'C.UTF-8',
      TZ: 'UTC',
    };
  }

  get profilesDir(): string {
    return join(this.dir, 'tunnel', 'profiles');
  }

  get stateDir(): string {
    return join(this.dir, 'tunnel', 'state');
  }

  /** Writes the text as profile NAME and returns its path. */
  async profile(name: string, text: string): Promise<string> {
    await mkdir(this.profilesDir, { recursive: true, mode: 0o700 });
    const file = join(this.profilesDir, `${name}.yaml`);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  async remove(): Promise<void> {
    // A process that is about to end may write there while it is removed.
    await rm(this.dir, { recursive: true, force: true, maxRetries: 10 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

export async function tempHome(): Promise<TempHome> {
  return new TempHome(await mkdtemp(join(tmpdir(), 'tunnel-home-')));
}

/** The `via` of a profile that logs in to this test server, and its `sshConfig: none`. */
export function viaSshd(sshd: TestSshd, port: number = sshd.port): string {
  return [
    'sshConfig: none',
    'via:',
    '  - host: 127.0.0.1',
    `    port: ${port}`,
    `    user: ${sshd.user}`,
    `    identity: [${sshd.identityFile}]`,
    '    agent: false',
    `    knownHosts: ${sshd.knownHostsFile}`,
    '',
  ].join('\n');
}
