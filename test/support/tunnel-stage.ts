import { readFile } from 'node:fs/promises';
import { ask } from './clients.ts';
import { startSshd, type SshdOptions, type TestSshd } from './sshd.ts';
import { echo, TcpTarget } from './tcp-target.ts';
import { tunnelCli, type Ran, type TunnelCli } from './tunnel-cli.ts';

/** A server, a service that echoes and the built command, which all end with the test: `await using`. */
export class TunnelStage {
  readonly sshd: TestSshd;
  readonly cli: TunnelCli;
  readonly target: TcpTarget;

  constructor(sshd: TestSshd, cli: TunnelCli, target: TcpTarget) {
    this.sshd = sshd;
    this.cli = cli;
    this.target = target;
  }

  /**
   * Writes a profile that leads to the echo service.
   * @param via fields of the server besides its address: YAML, one a line; these replace the login that always works
   * @param more further lines of the profile
   */
  profile(name: string, via: readonly string[] = this.login, more: readonly string[] = []): Promise<string> {
    const lines = [
      ...(more.some((line) => line.startsWith('sshConfig:')) ? [] : ['sshConfig: none']),
      'via:',
      '  - host: 127.0.0.1',
      ...[`port: ${this.sshd.port}`, `user: ${this.sshd.user}`, ...via].map((line) => `    ${line}`),
      ...more,
      `forwards: [ 127.0.0.1:auto -> 127.0.0.1:${this.target.port} ]`,
    ];
    return this.cli.home.profile(name, `${lines.join('\n')}\n`);
  }

  /** The key that the server lets in, no agent, and the server's own key as known. */
  get login(): readonly string[] {
    return [`identity: [${this.sshd.identityFile}]`, 'agent: false', this.trust];
  }

  get trust(): string {
    return `knownHosts: ${this.sshd.knownHostsFile}`;
  }

  /** Brings the tunnel up and sends a word through it. @throws with what the command said where it does not come up */
  async proves(name: string, env: Record<string, string> = {}): Promise<Ran> {
    const up = await this.cli.runWith({ env }, 'up', name);
    if (up.code !== 0) throw new Error(`up ${name} ended with ${up.code}:\n${up.stdout}${up.stderr}`);
    const back = await ask(await this.cli.port(name), 'hello');
    if (back !== 'hello') throw new Error(`${name} is up, but brought back ${JSON.stringify(back)}`);
    return up;
  }

  /** A public key as one line of a file. */
  async publicLine(file: string): Promise<string> {
    return (await readFile(`${file}.pub`, 'utf8')).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cli[Symbol.asyncDispose]();
    await this.sshd.stop();
    await this.target.close();
  }
}

export async function tunnelStage(options: SshdOptions = {}): Promise<TunnelStage> {
  return new TunnelStage(await startSshd(options), await tunnelCli(), await TcpTarget.start(echo));
}
