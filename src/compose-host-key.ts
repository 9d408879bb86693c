import { appendKnownHost } from './files/known-hosts-append.ts';
import { readKnownHosts } from './files/known-hosts.ts';
import { matchesHost } from './known-hosts/match.ts';
import { keyTypeOf, NO_KNOWN_HOSTS, type KnownHost, type KnownHosts } from './known-hosts/parse.ts';
import type { Ask } from './link/ask.ts';
import type { Dial, DialRequest } from './link/transport.ts';
import { TunnelError } from './model/failure.ts';
import type { HopPlan } from './model/plan.ts';
import { Secret } from './model/secret.ts';
import { createDial, type SecretReader } from './ssh/dial.ts';
import { hostKeyNames, type HostKeyStore } from './ssh/host-key.ts';

/** A key that a host has proved to own, and that known_hosts does not have. */
export interface FreshHostKey {
  readonly key: Buffer;
  /** The `@cert-authority` line whose certificate came with it; null where nobody vouches. */
  readonly authority: KnownHost | null;
}

/** What a host shows, and how known_hosts stands to it. */
export interface OfferedHostKeys {
  readonly name: string;
  /** Where keys of the host are recorded. */
  readonly file: string;
  readonly hashed: boolean;
  /** The keys that known_hosts has for it: one of them it showed, unless `fresh` holds what it showed. */
  readonly known: readonly KnownHost[];
  /** The one that it prefers first; empty where it showed a known one. */
  readonly fresh: readonly FreshHostKey[];
}

/** Types of keys, each with the algorithms that show it, certificates first. DSA is not looked for: no server needs it. */
const TYPES: readonly (readonly string[])[] = [
  ['ssh-ed25519-cert-v01@openssh.com', 'ssh-ed25519'],
  [256, 384, 521].flatMap((bits) => [`ecdsa-sha2-nistp${bits}-cert-v01@openssh.com`, `ecdsa-sha2-nistp${bits}`]),
  ['rsa-sha2-512-cert-v01@openssh.com', 'rsa-sha2-512', 'rsa-sha2-256'],
];

/**
 * Connects to the last hop for its host keys, and leaves before the login: once as ever, and where that shows no known
 * key once more for each other type, as ssh-keyscan does. Hops before it log in as ever, and ask, the first time.
 * Rejects as a dial does: a changed or revoked key is HOST_KEY_CHANGED or HOST_KEY_REVOKED.
 * @param isEnough whether the known keys are all that is wanted
 */
export async function offeredHostKeys(
  request: DialRequest,
  readSecret: SecretReader,
  isEnough: (known: readonly KnownHost[]) => boolean,
): Promise<OfferedHostKeys> {
  const last = request.hops.at(-1);
  const [file] = last?.knownHosts ?? [];
  if (last === undefined || file === undefined)
    throw new TypeError('A host key belongs to a hop with a known_hosts file');
  const look = new Look(request, last, readSecret);
  await look.at(last);
  const seen = look.fresh[0];
  const { known } = look;
  // Who has named algorithms wants no other key.
  if (last.hostKeyAlgorithms === null && (seen !== undefined || !isEnough(known))) {
    const shown = seen === undefined ? known.map(({ keyType }) => keyType) : [keyTypeOf(seen.key)];
    for (const algorithms of TYPES.filter((names) => !shown.some((type) => shows(names, type)))) {
      if (!(await look.alsoAt({ ...last, hostKeyAlgorithms: algorithms }))) break;
    }
  }
  return { name: look.name, file, hashed: last.hashKnownHosts, known, fresh: look.fresh };
}

function shows(algorithms: readonly string[], keyType: string | undefined): boolean {
  return algorithms.some((name) => name === keyType || (keyType === 'ssh-rsa' && name.startsWith('rsa-')));
}

/** Several connections to one host, by one dial: it remembers what a person unlocked for the first. */
class Look {
  readonly name: string;
  readonly fresh: FreshHostKey[] = [];
  readonly #request: DialRequest;
  readonly #last: HopPlan;
  readonly #dial: Dial;
  #knownHosts: KnownHosts = NO_KNOWN_HOSTS;

  constructor(request: DialRequest, last: HopPlan, readSecret: SecretReader) {
    this.#request = request;
    this.#last = last;
    this.name = hostKeyNames(last).name;
    this.#dial = createDial({ readSecret, hostKeys: this.#store() });
  }

  get known(): readonly KnownHost[] {
    const { name, fallbackName } = hostKeyNames(this.#last);
    return this.#knownHosts.entries.filter(
      ({ marker, hosts }) => marker === 'none' && (matchesHost(hosts, name) || matchesHost(hosts, fallbackName)),
    );
  }

  async at(last: HopPlan, ask: Ask = this.#request.ask): Promise<void> {
    const enough = new AbortController();
    const before = this.fresh.length;
    try {
      const transport = await this.#dial({
        ...this.#request,
        hops: [...this.#request.hops.slice(0, -1), { ...last, hostKey: { kind: 'strict' } }],
        ask: yesFor(this.name, ask),
        // The login would say that it recorded the key, which is for the caller to do, or not.
        onNote: (note) => (this.fresh.length === before ? this.#request.onNote(note) : undefined),
        onPhase: (phase) => {
          // What is new is recorded in the same turn, after this call.
          if (phase === 'authenticating') setImmediate(() => enough.abort(LEFT));
        },
        signal: AbortSignal.any([this.#request.signal, enough.signal]),
      });
      transport.close();
    } catch (thrown) {
      if (!enough.signal.aborted || this.#request.signal.aborted) throw thrown;
    }
  }

  /** For a further type. @returns false where nobody is to be asked again, so that no other can be looked at */
  async alsoAt(last: HopPlan): Promise<boolean> {
    try {
      await this.at(last, () => Promise.reject(new TunnelError('NEEDS_PERSON', 'Somebody was asked already')));
    } catch (thrown) {
      const code = thrown instanceof TunnelError ? thrown.code : undefined;
      if (code === 'NEEDS_PERSON') {
        this.#request.onNote(
          `Further types of keys of ${this.name} were not looked at: a hop before it would ask again`,
        );
        return false;
      }
      if (code !== 'NO_COMMON_ALGORITHM') throw thrown; // that one says only that it has no such key
    }
    return true;
  }

  #store(): HostKeyStore {
    return {
      read: async (files) => (this.#knownHosts = await readKnownHosts(files)),
      append: async (file, under, key, hashed) => {
        if (under !== this.name) return appendKnownHost(file, under, key, hashed);
        this.#add(key, null);
      },
      vouched: (under, key, authority) => {
        if (under === this.name && !this.known.some((one) => one.key.equals(key))) this.#add(key, authority);
      },
    };
  }

  #add(key: Buffer, authority: KnownHost | null): void {
    if (!this.fresh.some((one) => one.key.equals(key))) this.fresh.push({ key, authority });
  }
}

const LEFT = new TunnelError('STOPPED', 'The host key is all that was wanted');

/** The question about this host is put later, with the whole key at hand; the others go to the person. */
function yesFor(name: string, ask: Ask): Ask {
  return (question, signal) =>
    question.kind === 'host-key' && question.subject === name
      ? Promise.resolve(new Secret('yes'))
      : ask(question, signal);
}
