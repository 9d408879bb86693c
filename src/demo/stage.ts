import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDemoServer, type DemoServer } from '../ssh/demo-server.ts';
import { startPop3Server } from './pop3-server.ts';

/** The demo's profile. */
export const PROFILE = 'pop-mail';

/** Two servers in this process and a throw-away home with a profile that leads to them. */
export interface Stage {
  /** The TUNNEL_HOME, 0700. */
  readonly home: string;
  /** For whoever is to live in that home: nothing of the person's own agent or settings counts there. */
  readonly env: NodeJS.ProcessEnv;
  readonly profileText: string;
  /** Ends every SSH connection, as a dead network does; new ones are welcome. */
  cut(): void;
  /** Stops the servers and removes the home. Safe to call twice. */
  close(): Promise<void>;
  /** Removes the home at once, for a process that is ending. */
  wipe(): void;
}

/** What the profile calls the mail server; the embedded SSH server knows the way. */
const TARGET = { host: 'pop.example.org', port: 110 };

/** @param env the environment to derive `Stage.env` from */
export async function openStage(env: NodeJS.ProcessEnv): Promise<Stage> {
  const home = await mkdtemp(join(tmpdir(), 'tunnel-demo-')); // 0700, as mkdtemp makes them
  const closers: (() => Promise<void>)[] = [() => rm(home, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const pop3 = await startPop3Server();
    closers.push(() => pop3.close());
    const ssh = await startDemoServer({
      connectTo: (host, port) => (host === TARGET.host && port === TARGET.port ? pop3.port : undefined),
    });
    closers.push(() => ssh.close());
    const profileText = await furnish(home, ssh);
    return {
      home,
      env: homeEnv(env, home),
      profileText,
      cut: () => ssh.cutAll(),
      close,
      wipe: () => rmSync(home, { recursive: true, force: true }),
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Writes what a person would have: a key, a known host, a profile. */
async function furnish(home: string, ssh: DemoServer): Promise<string> {
  await mkdir(join(home, 'profiles'), { mode: 0o700 });
  await writeFile(join(home, 'id_demo'), ssh.identity, { mode: 0o600 });
  await writeFile(join(home, 'known_hosts'), `${ssh.knownHostsLine}\n`, { mode: 0o600 });
  const text = profileFor(ssh);
  await writeFile(join(home, 'profiles', `${PROFILE}.yaml`), text, { mode: 0o600 });
  return text;
}

/** Relative paths begin at the profile's folder. */
function profileFor({ port, user }: DemoServer): string {
  return [
    'description: POP3 mail, encrypted on the way',
    'via:',
    '  host: 127.0.0.1            # the embedded SSH server',
    `  port: ${port}`,
    `  user: ${user}`,
    '  identity: ../id_demo       # a key made for this demo',
    '  agent: false',
    '  knownHosts: ../known_hosts',
    'sshConfig: none',
    'forwards:',
    `  - localhost:auto -> ${TARGET.host}:${TARGET.port}`,
    '',
  ].join('\n');
}

/** The home alone decides where things are; the person's agent is not asked for keys that are not meant. */
function homeEnv(env: NodeJS.ProcessEnv, home: string): NodeJS.ProcessEnv {
  const { SSH_AUTH_SOCK: _agent, ...rest } = env;
  return { ...rest, TUNNEL_HOME: home };
}
