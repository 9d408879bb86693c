import { isIP } from 'node:net';
import { isHostName } from '../../model/endpoint.ts';
import { parseTarget, type LocalSpec } from '../../model/forward-spec.ts';
import type { TcpEndpoint } from '../../model/endpoint.ts';
import type { HopSpec } from '../../model/profile.ts';
import { askMany, askOne, askText, askYesNo } from '../prompts.ts';
import type { Output } from '../output.ts';
import { suggestPort, type PortFacts } from './ports.ts';
import { PRESETS, type Preset, type Service } from './presets.ts';

/** The forwards that the person chose, and words for a name and a description made from them. */
export interface ChosenForwards {
  readonly forwards: readonly LocalSpec[];
  readonly name: string;
  readonly description: string;
}

/** Asks what should be reachable here, from the presets or by hand, until the person has all they want. */
export function askForwards(
  server: HopSpec,
  ports: PortFacts,
  out: Output,
  signal: AbortSignal,
): Promise<ChosenForwards> {
  return new ForwardDialog(server, ports, out, signal).run();
}

interface Pick {
  readonly bindPort: number;
  readonly target: TcpEndpoint;
  /** `POP3`, or the target where it is a service without a name. */
  readonly label: string;
  /** The forward's name, where there are several. */
  readonly name: string | undefined;
  /** What the profile may be called for it. */
  readonly profileName: string;
}

const KINDS = [
  ...PRESETS.map(({ id, label }) => ({ value: id, label })),
  { value: 'own', label: 'Something else: a host and a port' },
];

class ForwardDialog {
  readonly #server: HopSpec;
  readonly #ports: PortFacts;
  readonly #out: Output;
  readonly #signal: AbortSignal;
  readonly #picks: Pick[] = [];

  constructor(server: HopSpec, ports: PortFacts, out: Output, signal: AbortSignal) {
    this.#server = server;
    this.#out = out;
    this.#signal = signal;
    this.#ports = { lowest: ports.lowest, free: async (port) => !this.#holds(port) && (await ports.free(port)) };
  }

  async run(): Promise<ChosenForwards> {
    const { dim } = this.#out.talkTheme;
    do {
      const kind = await askOne('What should be reachable on this computer?', KINDS, this.#signal);
      const preset = PRESETS.find(({ id }) => id === kind);
      this.#out.say(dim('Hosts are named as the SSH server reaches them: localhost is that server itself.'));
      if (preset === undefined) await this.#askOwn();
      else await this.#askPreset(preset);
    } while (await askYesNo('Another one?', false, this.#signal));
    return summary(this.#picks);
  }

  async #askPreset(preset: Preset): Promise<void> {
    const lines = preset.services.map(({ id, label }, at) => ({ value: id, label, checked: at === 0 }));
    const ids = await askMany('Which? (space marks, enter goes on)', lines, this.#signal);
    const profileName = ids.length === 1 ? preset.services.find(({ id }) => id === ids[0])?.name : preset.name;
    let host = preset.onServer || !this.#server.host.includes('.') ? 'localhost' : this.#server.host;
    for (const service of preset.services.filter(({ id }) => ids.includes(id))) {
      host = await this.#askHost(service, host);
      await this.#pick({
        target: { kind: 'tcp', host, port: service.port },
        usual: service.usual,
        label: service.name.toUpperCase(),
        name: service.name,
        profileName: profileName ?? preset.name,
      });
    }
  }

  async #askHost(service: Service, fallback: string): Promise<string> {
    const host = await askText(
      {
        message: `${service.name.toUpperCase()} host:`,
        fallback,
        validate: (typed) => isHostName(typed.trim()) || 'Write a host name or an address',
      },
      this.#signal,
    );
    return host.trim();
  }

  async #askOwn(): Promise<void> {
    const text = await askText(
      {
        message: 'Host and port:',
        validate: (typed) => tcpTarget(typed) !== undefined || 'Write it like host:port',
      },
      this.#signal,
    );
    const target = tcpTarget(text);
    if (target === undefined) throw new TypeError('The prompt takes only what tcpTarget reads');
    const profileName = profileNameFrom(target.host === 'localhost' ? this.#server.host : target.host);
    await this.#pick({ target, usual: undefined, label: text.trim(), name: undefined, profileName });
  }

  async #pick({ usual, ...pick }: Omit<Pick, 'bindPort'> & { readonly usual: number | undefined }): Promise<void> {
    const { port, why } = await suggestPort(pick.target.port, usual, this.#ports);
    if (why !== '') this.#out.say(this.#out.talkTheme.dim(`  ${pick.target.port} is not offered here: ${why}`));
    const answer = await askText(
      {
        message: `Local port for ${pick.label}:`,
        fallback: port === 0 ? 'auto' : String(port),
        validate: (typed) => this.#checkPort(typed.trim()),
      },
      this.#signal,
    );
    this.#picks.push({ ...pick, bindPort: answer.trim() === 'auto' ? 0 : Number(answer) });
  }

  /** A port that is taken now may be free later, and a service may run as root: only what never works is refused. */
  #checkPort(typed: string): true | string {
    if (typed === 'auto') return true;
    const port = /^\d{1,5}$/.test(typed) ? Number(typed) : 0;
    if (port < 1 || port > 65_535) return 'Write a port from 1 to 65535, or auto for any free one';
    return !this.#holds(port) || `${port} is taken by another forward of this profile`;
  }

  #holds(port: number): boolean {
    return this.#picks.some(({ bindPort }) => bindPort === port);
  }
}

function summary(picks: readonly Pick[]): ChosenForwards {
  const hosts = [...new Set(picks.map(({ target }) => target.host))];
  const labels = [...new Set(picks.map(({ label }) => label))].join(', ');
  const named = picks.some(({ name }) => name !== undefined);
  const names = [...new Set(picks.map(({ profileName }) => profileName))];
  return {
    forwards: picks.map(({ bindPort, target, name }) => ({
      kind: 'local',
      bind: { kind: 'tcp', host: 'localhost', port: bindPort },
      target,
      ...(picks.length > 1 && isUniqueName(picks, name) ? { name } : {}),
    })),
    name: names.length === 1 ? (names[0] ?? '') : profileNameFrom(hosts[0] ?? ''),
    description: named && hosts.length === 1 ? `${labels} at ${hosts[0] ?? ''}` : labels,
  };
}

function isUniqueName(picks: readonly Pick[], name: string | undefined): name is string {
  return name !== undefined && picks.filter((pick) => pick.name === name).length === 1;
}

function tcpTarget(text: string): TcpEndpoint | undefined {
  const target = parseTarget(text.trim());
  return target?.kind === 'tcp' ? target : undefined;
}

/**
 * A name for a profile made from a host: its first label, or the whole of an address. `''` where none of it can stand in a name.
 */
export function profileNameFrom(host: string): string {
  const label = isIP(host) === 0 ? (host.split('.')[0] ?? '') : host.replaceAll(':', '-');
  return label
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, '')
    .replace(/^[^a-z0-9]+/, '');
}
