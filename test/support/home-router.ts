import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { NetSpace } from './net-space.ts';

/** The addresses of the three machines: ours, the router's inner one, and a stranger's. */
export const [OURS, ROUTER] = ['192.168.7.2', '192.168.7.1'];
/** The router's outer address: any that counts as public. */
export const OUTSIDE = '12.34.56.78';

/** As `nft_init.sh` of Debian's package makes them: miniupnpd fills its chains, everything else from outside is dropped. */
const CHAINS = `table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    jump miniupnpd
  }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`;

const SETTINGS = {
  ext_ifname: 'wan0',
  listening_ip: 'lan0',
  http_port: '5000',
  enable_natpmp: 'yes',
  min_lifetime: '2',
  secure_mode: 'yes',
  system_uptime: 'no',
  ipv6_disable: 'yes',
  uuid: '11111111-2222-3333-4444-555555555555',
};

/**
 * A home network: this machine, a router with a real miniupnpd between it and the Internet, and a stranger out there. Each
 * is a network namespace.
 */
export class HomeRouter {
  readonly home: NetSpace;
  readonly stranger: NetSpace;
  readonly #router: NetSpace;
  readonly #dir: string;
  #daemon: ReturnType<NetSpace['start']> | undefined;

  private constructor(home: NetSpace, router: NetSpace, stranger: NetSpace, dir: string) {
    this.home = home;
    this.#router = router;
    this.stranger = stranger;
    this.#dir = dir;
  }

  /** @param outside the router's outer address */
  static async create(outside = OUTSIDE): Promise<HomeRouter> {
    const [home, router, stranger] = [await NetSpace.create(), await NetSpace.create(), await NetSpace.create()];
    const dir = await mkdtemp(join(tmpdir(), 'tunnel-router-'));
    await router.cable('lan0', [`${ROUTER}/24`], home, 'net', [`${OURS}/24`]);
    await router.cable('wan0', [`${outside}/24`], stranger, 'net', [outside.replace(/\d+$/, '9/24')]);
    await home.run('ip', 'route', 'add', 'default', 'via', ROUTER);
    await router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    await writeFile(join(dir, 'chains'), CHAINS);
    await router.run('nft', '-f', join(dir, 'chains'));
    return new HomeRouter(home, router, stranger, dir);
  }

  /** Starts miniupnpd, which knows no mapping then. @param settings beside those of a home router @param rules who may have which */
  async start(settings: Readonly<Record<string, string>> = {}, rules = ['allow 0-65535 192.168.7.0/24 0-65535']) {
    const all = { ...SETTINGS, minissdpdsocket: join(this.#dir, 'none'), ...settings };
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}`);
    const config = join(this.#dir, 'miniupnpd.conf');
    await writeFile(config, [...lines, ...rules, ''].join('\n'));
    this.#daemon = this.#router.start('miniupnpd', '-d', '-f', config, '-P', join(this.#dir, 'pid'));
    this.#daemon.stderr?.resume();
    await eventually(() => this.#serves(all.enable_natpmp === 'yes'), { what: 'miniupnpd' });
  }

  /** It is gone at once, and its mappings with it. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    this.#daemon = undefined;
    const ended = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await ended;
    await rm(join(this.#dir, 'pid'), { force: true });
    for (const chain of ['miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd']) {
      await this.#router.run('nft', 'flush', 'chain', 'inet', 'filter', chain);
    }
  }

  /** Whether it serves UPnP, and PCP with NAT-PMP: it opens its sockets one after the other. */
  async #serves(natPmp: boolean): Promise<boolean> {
    if (!(await this.#router.listens(5000))) return false;
    if (!(await this.#router.listens(1900, 'udp'))) return false;
    return !natPmp || this.#router.listens(5351, 'udp');
  }

  /** How many ports it leads inside now, by the kernel's own rules. */
  async mapped(): Promise<number> {
    const rules = await this.#router.run('nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd');
    return rules.split('\n').filter((line) => line.includes('dnat')).length;
  }

  /** What a stranger gets at that port of the router; rejects where the connection fails. */
  fetch(port: number, host = OUTSIDE): Promise<string> {
    return this.stranger.run(
      'curl',
      '-q',
      '-sS',
      '--connect-timeout',
      '3',
      '--max-time',
      '10',
      `http://${host}:${port}/`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    for (const space of [this.home, this.stranger, this.#router]) await space[Symbol.asyncDispose]();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
