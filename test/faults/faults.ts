import { connect, type Socket } from 'node:net';
import type { Chance } from './chance.ts';
import type { Laboratory } from './laboratory.ts';

/** What a fault is done to: two of the same layer never strike at once. */
export type Layer = 'path' | 'server' | 'person' | 'supervisor';

/** A thing that goes wrong, or that somebody does while things go wrong. */
export interface Fault {
  readonly name: string;
  readonly layer: Layer;
  /** Whether clients may find nobody listening from now until the mend: the listener was given up, or its owner is gone. */
  readonly unbinds?: true;
  /** Whether no byte gets through to the server and back, from the strike to the mend. */
  readonly severs?: true;
  /** Whether clients may wait for as long as it stands: bytes come late, or the supervisor does not run. */
  readonly slows?: true;
  /** Whether what is open may end in any way at that moment: a killed process sends no RST of its own. */
  readonly kills?: true;
  /** @returns how to mend it; nothing where the fault is a moment */
  strike(lab: Laboratory, chance: Chance): Promise<(() => Promise<void>) | undefined>;
}

const PATH: readonly Fault[] = [
  path('path stalls', ({ path }) => path.stall(), { severs: true }),
  path('path drops', ({ path }) => path.drop(), { severs: true }),
  path('path refuses', ({ path }) => path.refuse(), { severs: true }),
  path('path forgets who is idle', ({ path }, chance) => path.idleKill(chance.between(100, 900))),
  path('path is slow', ({ path }) => path.throttle(200_000), { slows: true }),
  path('path is long', ({ path }, chance) => path.delay(chance.between(20, 300), chance.between(0, 20)), {
    slows: true,
  }),
  path('path slices', ({ path }, chance) => path.slice(chance.pick([100, 1_400])), { slows: true }),
  path('path cuts in the middle', ({ path }, chance) => path.cutAfter(chance.between(1, 400_000))),
  moment('path resets', 'path', ({ path }) => path.reset()),
];

const SERVER: readonly Fault[] = [
  {
    ...{ name: 'sshd dies', layer: 'server', severs: true },
    strike: async (lab) => {
      await down(lab);
      return () => back(lab);
    },
  },
  {
    ...{ name: 'sshd freezes', layer: 'server', severs: true },
    strike: async ({ sshd }) => {
      await sshd.freeze();
      return () => sshd.thaw();
    },
  },
  moment('sshd cuts sessions', 'server', ({ sshd }) => sshd.killSessions()),
  moment('sshd restarts', 'server', (lab) => restart(lab, [])),
  server('sshd exchanges keys after each megabyte', ['RekeyLimit 1M']),
  server('sshd grants no sessions', ['MaxSessions 0']),
  server('sshd has another cipher', ['Ciphers aes256-ctr', 'MACs hmac-sha2-512-etm@openssh.com']),
  {
    ...{ name: 'strangers use up MaxStartups', layer: 'server' },
    strike: async (lab) => {
      await restart(lab, ['MaxStartups 3:100:3', 'LoginGraceTime 30']);
      const strangers = await crowd(lab.sshd.port, 3);
      return async () => {
        for (const stranger of strangers) stranger.destroy();
        await restart(lab, []);
      };
    },
  },
  {
    ...{ name: 'sshd shows another host key', layer: 'server', unbinds: true },
    strike: async (lab) => {
      await down(lab);
      const restore = await lab.sshd.impersonate();
      await back(lab);
      return async () => {
        await down(lab);
        await restore();
        await back(lab);
        await lab.cli.run('up', 't', '--no-wait'); // a changed key is final until somebody says otherwise
      };
    },
  },
];

const PERSON: readonly Fault[] = [
  {
    ...{ name: 'profile gains a forward, and loses it', layer: 'person' },
    strike: (lab) => edited(lab, `${lab.profile}  - 127.0.0.1:auto -> 127.0.0.1:9\n`),
  },
  {
    ...{ name: 'profile compresses', layer: 'person' },
    strike: (lab) => edited(lab, lab.profile.replace('    agent: false', '    agent: false\n    compression: true')),
  },
  {
    ...{ name: 'profile has two connections', layer: 'person' },
    strike: (lab) => edited(lab, `connections: 2\n${lab.profile}`),
  },
  moment('somebody says restart', 'person', ({ cli }) => cli.run('restart', 't')),
  moment('somebody says up once more', 'person', ({ cli }) => cli.run('up', 't', '--no-wait')),
  {
    ...{ name: 'tunnel is taken down, and up again', layer: 'person', unbinds: true },
    strike: async ({ cli }) => {
      await cli.run('down', 't', '--drain', '100ms');
      return async () => void (await cli.run('up', 't', '--no-wait'));
    },
  },
];

const SUPERVISOR: readonly Fault[] = [
  {
    ...{ name: 'supervisor sleeps', layer: 'supervisor', slows: true },
    strike: async (lab) => {
      const { pid } = await lab.supervisor();
      process.kill(pid, 'SIGSTOP');
      return () => Promise.resolve(void process.kill(pid, 'SIGCONT'));
    },
  },
  {
    ...{ name: 'supervisor is killed', layer: 'supervisor', unbinds: true, kills: true },
    strike: async (lab) => {
      process.kill((await lab.supervisor()).pid, 'SIGKILL');
      return async () => void (await lab.cli.run('up', 't', '--no-wait'));
    },
  },
];

export const FAULTS: readonly Fault[] = [...PATH, ...SERVER, ...PERSON, ...SUPERVISOR];

function path(
  name: string,
  strike: (lab: Laboratory, chance: Chance) => void | Promise<void>,
  more: Pick<Fault, 'severs' | 'slows'> = {},
): Fault {
  return {
    ...{ name, layer: 'path', ...more },
    strike: async (lab, chance) => {
      await strike(lab, chance);
      return () => lab.path.heal();
    },
  };
}

function server(name: string, config: readonly string[]): Fault {
  return {
    ...{ name, layer: 'server' },
    strike: async (lab) => {
      await restart(lab, config);
      return () => restart(lab, []);
    },
  };
}

function moment(name: string, layer: Layer, strike: (lab: Laboratory) => unknown): Fault {
  return {
    ...{ name, layer },
    strike: async (lab) => {
      await strike(lab);
      return undefined;
    },
  };
}

/**
 * The path goes with the server, as a dead host's port does: a path that took connections for a server that is not there
 * would use up the six tries without a login that a server may see in 30 s (decision 7).
 */
async function down({ path, sshd }: Laboratory): Promise<void> {
  await path.refuse();
  await sshd.kill();
}

async function back({ path, sshd }: Laboratory): Promise<void> {
  await sshd.start();
  await path.admit();
}

async function restart(lab: Laboratory, config: readonly string[]): Promise<void> {
  await down(lab);
  await lab.sshd.configure(config, ['ed25519']);
  await back(lab);
}

async function edited({ cli, profile }: Laboratory, text: string): Promise<() => Promise<void>> {
  const take = async (next: string): Promise<void> => {
    await cli.home.profile('t', next);
    await cli.run('reload', 't'); // a supervisor that sleeps meanwhile takes it at the next one
  };
  await take(text);
  return () => take(profile);
}

/** Connections that say nothing, as logins under way do. */
async function crowd(port: number, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.once('data', resolve).once('close', resolve))),
  );
  return sockets;
}
