import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuthContext } from 'ssh2';
import { startScriptedServer, type Script, type ScriptedServer } from './ssh-server.ts';
import { freePort } from './sshd.ts';
import { tunnelCli, type TunnelCli } from './tunnel-cli.ts';

/** The built command in a home of its own, and a server in this process that asks for whatever a test says. */
export interface LoginStage {
  readonly cli: TunnelCli;
  readonly server: ScriptedServer;
  /** `alice@127.0.0.1:PORT`, as secrets are kept under. */
  readonly subject: string;
  /** Writes profile NAME: one forward over this server. @param more further lines, such as `secrets: …` @param hop further lines of the server's entry */
  profile(name: string, more?: string, hop?: readonly string[]): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function loginStage(
  authenticate: (attempt: AuthContext, server: ScriptedServer) => void,
  script: Omit<Script, 'authenticate'> = {},
): Promise<LoginStage> {
  const [server, cli] = [await startScriptedServer({ ...script, authenticate }), await tunnelCli()];
  const knownHosts = join(cli.home.dir, 'known_hosts');
  await writeFile(knownHosts, server.knownHosts);
  return {
    cli,
    server,
    subject: `alice@127.0.0.1:${server.port}`,
    profile: async (name, more = '', hop = ['agent: false']) => {
      const via = ['host: 127.0.0.1', `port: ${server.port}`, 'user: alice', `knownHosts: ${knownHosts}`, ...hop];
      const forward = `forwards:\n  - 127.0.0.1:${await freePort()} -> 127.0.0.1:9\n`;
      await cli.home.profile(name, `sshConfig: none\nvia:\n  - ${via.join('\n    ')}\n${forward}${more}`);
    },
    [Symbol.asyncDispose]: async () => {
      await cli[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Lets in who has this password, by the method of that name. */
export function byPassword(password: string): (attempt: AuthContext) => void {
  return (attempt) => {
    if (attempt.method === 'password' && attempt.password === password) attempt.accept();
    else attempt.reject(['password']);
  };
}
