import type { Algorithms } from 'ssh2';
import { TunnelError } from '../model/failure.ts';
import type { HopPlan } from '../model/plan.ts';
import {
  bindingAvailable,
  SUPPORTED_CIPHERS,
  SUPPORTED_HOST_KEYS,
  SUPPORTED_KEX,
  SUPPORTED_MACS,
} from './compat/internals.ts';

/** Algorithm names of one kind, best first. `legacy` are those that no modern server still needs. */
interface Offer {
  readonly title: string;
  readonly modern: readonly string[];
  readonly legacy: readonly string[];
  readonly supported: readonly string[];
}

const KEX: Offer = {
  title: 'key exchange',
  modern: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group-exchange-sha256',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256', // last in OpenSSH's own list too: appliances have nothing better
  ],
  legacy: ['diffie-hellman-group-exchange-sha1', 'diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'],
  supported: SUPPORTED_KEX,
};

const HOST_KEYS: Offer = {
  title: 'host key',
  modern: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  legacy: ['ssh-rsa', 'ssh-dss'],
  supported: SUPPORTED_HOST_KEYS,
};

const CHACHA = 'chacha20-poly1305@openssh.com';

/**
 * Without its native addon ssh2 1.17.0 computes chacha20 in a cipher whose nonce is shared by the whole module: over a
 * jump host the two connections corrupt each other, so it is never offered then.
 */
const CIPHERS: Offer = {
  title: 'cipher',
  modern: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    ...(bindingAvailable ? [CHACHA] : []),
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
  ],
  legacy: ['aes128-cbc', 'aes192-cbc', 'aes256-cbc', '3des-cbc'],
  supported: SUPPORTED_CIPHERS.filter((name) => name !== CHACHA || bindingAvailable),
};

const MACS: Offer = {
  title: 'MAC',
  modern: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  legacy: ['hmac-sha1-etm@openssh.com', 'hmac-sha1', 'hmac-md5'],
  supported: SUPPORTED_MACS,
};

export interface AlgorithmChoice {
  readonly algorithms: Required<Algorithms>;
  /** What a person should know about the choice: names that we do not have, no native addon. */
  readonly notes: readonly string[];
}

/**
 * What to offer to a hop.
 * @param knownTypes key types that known_hosts holds for it: asked for first, or a known host looks changed
 * @throws NO_COMMON_ALGORITHM where the profile leaves nothing of a kind
 */
export function chooseAlgorithms(hop: HopPlan, knownTypes: readonly string[]): AlgorithmChoice {
  const notes: string[] = bindingAvailable ? [] : ['ssh2 runs without its native addon: slower, no chacha20'];
  const pick = (offer: Offer, wanted: readonly string[] | null): string[] => {
    const { names, unknown } = selectAlgorithms(offer, wanted, hop.legacy);
    if (unknown.length > 0) notes.push(`${offer.title} algorithms not supported here: ${unknown.join(', ')}`);
    if (names.length > 0) return names;
    throw new TunnelError(
      'NO_COMMON_ALGORITHM',
      `Cannot connect to ${hop.label}: the configuration leaves no ${offer.title} algorithm that tunnel supports`,
      { hint: `Supported: ${offer.supported.join(', ')}.` },
    );
  };
  return {
    algorithms: asSsh2Lists({
      kex: pick(KEX, hop.kex),
      serverHostKey: knownFirst(pick(HOST_KEYS, hop.hostKeyAlgorithms), knownTypes),
      cipher: pick(CIPHERS, hop.ciphers),
      hmac: pick(MACS, hop.macs),
      compress: hop.compression ? ['zlib@openssh.com', 'zlib', 'none'] : ['none'],
    }),
    notes,
  };
}

/**
 * Reads OpenSSH's list syntax (ssh_config(5), Ciphers): a bare list replaces the default, `+` appends, `-` removes
 * (with `*` and `?`), `^` moves to the front.
 */
export function selectAlgorithms(
  offer: Pick<Offer, 'modern' | 'legacy' | 'supported'>,
  wanted: readonly string[] | null,
  legacy: boolean,
): { readonly names: string[]; readonly unknown: readonly string[] } {
  const supported = (name: string): boolean => offer.supported.includes(name);
  const base = [...offer.modern, ...(legacy ? offer.legacy : [])].filter(supported);
  if (wanted === null || wanted.length === 0) return { names: base, unknown: [] };
  const sign = /^[+^-]/.exec(wanted[0] ?? '')?.[0] ?? '';
  const listed = wanted
    .map((name, index) => (index === 0 ? name.slice(sign.length) : name))
    .filter((name) => name !== '');
  if (sign === '-') {
    const gone = listed.map(asPattern);
    return { names: base.filter((name) => !gone.some((pattern) => pattern.test(name))), unknown: [] };
  }
  const usable = listed.filter(supported);
  const unknown = listed.filter((name) => !supported(name));
  const order = { '': usable, '+': [...base, ...usable], '^': [...usable, ...base] }[sign] ?? usable;
  return { names: [...new Set(order)], unknown };
}

/** Keeps the order within each half, as OpenSSH's order_hostkeyalgs does. */
function knownFirst(names: readonly string[], knownTypes: readonly string[]): string[] {
  const known = (name: string): boolean => knownTypes.includes(name.startsWith('rsa-sha2-') ? 'ssh-rsa' : name);
  return [...names.filter(known), ...names.filter((name) => !known(name))];
}

function asPattern(glob: string): RegExp {
  const escaped = glob.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/\*/g, '.*').replace(/\?/g, '.')}$`);
}

type Lists = Record<keyof Algorithms, readonly string[]>;

/** ssh2's typings list every name; ours come out of ssh2's own supported lists, which is the same promise. */
function asSsh2Lists(lists: Lists): Required<Algorithms> {
  return lists as unknown as Required<Algorithms>;
}
