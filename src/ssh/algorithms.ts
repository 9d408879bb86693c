import type { Algorithms } from 'ssh2';
import { SIGNATURE_NAMES } from '../known-hosts/certificate.ts';
import { TunnelError } from '../model/failure.ts';
import type { HopPlan } from '../model/plan.ts';
import {
  bindingAvailable,
  SUPPORTED_CIPHERS,
  SUPPORTED_HOST_KEYS,
  SUPPORTED_KEX,
  SUPPORTED_MACS,
} from './compat/internals.ts';
import { chacha20Works } from './compat/chacha20.ts';
import { HYBRID_KEX } from './compat/hybrid-exchange.ts';
import type { Offer, Settled } from './compat/key-exchange.ts';

/** Algorithm names of one kind, best first. `legacy` are those that no modern server still needs. */
interface Menu {
  readonly title: string;
  readonly modern: readonly string[];
  readonly legacy: readonly string[];
  readonly supported: readonly string[];
}

const KEX: Menu = {
  title: 'key exchange',
  modern: [
    HYBRID_KEX, // first, as in OpenSSH since 10.0: what is recorded today is safe from tomorrow's computers
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
  supported: [HYBRID_KEX, ...SUPPORTED_KEX],
};

/** In the order of the plain ones. Asked for where a @cert-authority line speaks of the host. */
const HOST_CERTIFICATES = [
  'ssh-ed25519-cert-v01@openssh.com',
  'ecdsa-sha2-nistp256-cert-v01@openssh.com',
  'ecdsa-sha2-nistp384-cert-v01@openssh.com',
  'ecdsa-sha2-nistp521-cert-v01@openssh.com',
  'rsa-sha2-512-cert-v01@openssh.com',
  'rsa-sha2-256-cert-v01@openssh.com',
];

const HOST_KEYS: Menu = {
  title: 'host key',
  modern: [
    ...HOST_CERTIFICATES,
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  legacy: ['ssh-rsa', 'ssh-dss'],
  supported: [...HOST_CERTIFICATES, ...SUPPORTED_HOST_KEYS],
};

const CHACHA = 'chacha20-poly1305@openssh.com';

/**
 * Without its native addon ssh2 1.17.0 computes chacha20 in a cipher whose nonce is shared by the whole module: over a
 * jump host the two connections corrupt each other, so it is never offered then; nor where the addon cannot do it.
 */
const CIPHERS: Menu = {
  title: 'cipher',
  modern: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    ...(chacha20Works ? [CHACHA] : []),
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
  ],
  legacy: ['aes128-cbc', 'aes192-cbc', 'aes256-cbc', '3des-cbc'],
  supported: SUPPORTED_CIPHERS.filter((name) => name !== CHACHA || chacha20Works),
};

const MACS: Menu = {
  title: 'MAC',
  modern: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  legacy: ['hmac-sha1-etm@openssh.com', 'hmac-sha1', 'hmac-md5'],
  supported: SUPPORTED_MACS,
};

/** What the choice hangs on, besides the hop's own lists. */
export interface ChoiceFacts {
  /** Key types that known_hosts holds for the host: asked for first, or a known host looks changed. */
  readonly knownTypes: readonly string[];
  /** A @cert-authority line speaks of the host. */
  readonly certificates: boolean;
  /** Post-quantum key exchange works here. */
  readonly mlKem: boolean;
  /** What this server, which lacks strict key exchange, must not be offered any more. */
  readonly unsafe: readonly Unsafe[];
}

/** Open to CVE-2023-48795 (Terrapin) without strict key exchange: chacha20-poly1305, and CBC with encrypt-then-MAC. */
export type Unsafe = 'chacha20' | 'etm';

export interface AlgorithmChoice {
  readonly offer: Offer;
  /** What a person should know about the choice: names that we do not have, no native addon. */
  readonly notes: readonly string[];
}

/** What to offer to a hop. @throws NO_COMMON_ALGORITHM where the profile leaves nothing of a kind */
export function chooseAlgorithms(hop: HopPlan, facts: ChoiceFacts): AlgorithmChoice {
  const notes: string[] = bindingAvailable ? [] : ['ssh2 runs without its native addon: slower, no chacha20'];
  const pick = (menu: Menu, wanted: readonly string[] | null, usable: Usable): string[] => {
    const { names, unknown } = selectAlgorithms(menu, wanted, hop.legacy);
    if (unknown.length > 0) notes.push(`${menu.title} algorithms not supported here: ${unknown.join(', ')}`);
    const left = names.filter((name) => usable(name, names));
    if (left.length > 0) return left;
    throw new TunnelError(
      'NO_COMMON_ALGORITHM',
      `Cannot connect to ${hop.label}: the configuration leaves no ${menu.title} algorithm that tunnel supports`,
      { hint: `Supported: ${menu.supported.join(', ')}.` },
    );
  };
  if (hop.legacy) notes.push('`legacy: true`: old algorithms are allowed for this server');
  return {
    offer: {
      kex: pick(KEX, hop.kex, (name) => name !== HYBRID_KEX || facts.mlKem),
      serverHostKey: ordered(
        // Without an authority a certificate's key counts as plain: asked for only where the profile wants nothing else.
        pick(
          HOST_KEYS,
          hop.hostKeyAlgorithms,
          (name, all) => facts.certificates || !isCertificate(name) || all.every(isCertificate),
        ),
        facts.knownTypes,
      ),
      cipher: pick(CIPHERS, hop.ciphers, (name) => name !== CHACHA || !facts.unsafe.includes('chacha20')),
      hmac: pick(MACS, hop.macs, (name) => !isEtm(name) || !facts.unsafe.includes('etm')),
      compress: hop.compression ? ['zlib@openssh.com', 'zlib', 'none'] : ['none'],
    },
    notes,
  };
}

/** By which an authority may sign: OpenSSH's list syntax over the algorithms that we can check. */
export function caSignatures(wanted: readonly string[]): readonly string[] {
  const menu = { modern: SIGNATURE_NAMES, legacy: [], supported: SIGNATURE_NAMES };
  return selectAlgorithms(menu, wanted, false).names;
}

/** What makes the settled algorithms unsafe with a server that lacks strict key exchange; undefined where they are safe. */
export function unsafeWithoutStrict({ strict, ciphers, macs }: Settled): Unsafe | undefined {
  if (strict) return undefined;
  if (ciphers.includes(CHACHA)) return 'chacha20';
  return ciphers.some((cipher, way) => cipher.endsWith('-cbc') && isEtm(macs[way] ?? '')) ? 'etm' : undefined;
}

/** The settled algorithms that only `legacy: true` allows. */
export function legacyAmong({ kex, hostKey, ciphers, macs }: Settled): string[] {
  const old = [KEX, HOST_KEYS, CIPHERS, MACS].flatMap(({ legacy }) => legacy);
  return [...new Set([kex, hostKey, ...ciphers, ...macs])].filter((name) => old.includes(name));
}

/** What ssh2 itself can check at `connect`: names of its own, at least one of each kind. */
export function asSsh2Algorithms(offer: Offer): Required<Algorithms> {
  const own = (names: readonly string[], supported: readonly string[]): readonly string[] => {
    const known = names.filter((name) => supported.includes(name));
    return known.length > 0 ? known : supported.slice(0, 1); // never sent: the true offer takes its place
  };
  return asSsh2Lists({
    ...offer,
    kex: own(offer.kex, SUPPORTED_KEX),
    serverHostKey: own(offer.serverHostKey, SUPPORTED_HOST_KEYS),
  });
}

type Usable = (name: string, all: readonly string[]) => boolean;

function isCertificate(name: string): boolean {
  return HOST_CERTIFICATES.includes(name);
}

function isEtm(mac: string): boolean {
  return mac.endsWith('-etm@openssh.com');
}

/**
 * Reads OpenSSH's list syntax (ssh_config(5), Ciphers): a bare list replaces the default, `+` appends, `-` removes
 * (with `*` and `?`), `^` moves to the front.
 */
export function selectAlgorithms(
  menu: Pick<Menu, 'modern' | 'legacy' | 'supported'>,
  wanted: readonly string[] | null,
  legacy: boolean,
): { readonly names: string[]; readonly unknown: readonly string[] } {
  const supported = (name: string): boolean => menu.supported.includes(name);
  const base = [...menu.modern, ...(legacy ? menu.legacy : [])].filter(supported);
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

/** Certificates, then types that are known, then the others; each keeps its order, as in OpenSSH's order_hostkeyalgs. */
function ordered(names: readonly string[], knownTypes: readonly string[]): string[] {
  const rank = (name: string): number => {
    if (isCertificate(name)) return 0;
    return knownTypes.includes(name.startsWith('rsa-sha2-') ? 'ssh-rsa' : name) ? 1 : 2;
  };
  return [0, 1, 2].flatMap((wanted) => names.filter((name) => rank(name) === wanted));
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
