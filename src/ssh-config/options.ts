import type { OptionPlace, SshSettings } from './settings.ts';

/** What each of our settings is called in ssh_config. */
export const OPTION_NAMES = {
  hostName: 'HostName',
  port: 'Port',
  user: 'User',
  identityFiles: 'IdentityFile',
  identitiesOnly: 'IdentitiesOnly',
  identityAgent: 'IdentityAgent',
  certificateFiles: 'CertificateFile',
  proxyJump: 'ProxyJump',
  proxyCommand: 'ProxyCommand',
  hostKeyAlias: 'HostKeyAlias',
  userKnownHosts: 'UserKnownHostsFile',
  globalKnownHosts: 'GlobalKnownHostsFile',
  strictHostKeyChecking: 'StrictHostKeyChecking',
  hashKnownHosts: 'HashKnownHosts',
  updateHostKeys: 'UpdateHostKeys',
  revokedHostKeys: 'RevokedHostKeys',
  caSignatureAlgorithms: 'CASignatureAlgorithms',
  ciphers: 'Ciphers',
  macs: 'MACs',
  kex: 'KexAlgorithms',
  hostKeyAlgorithms: 'HostKeyAlgorithms',
  serverAliveSeconds: 'ServerAliveInterval',
  serverAliveCountMax: 'ServerAliveCountMax',
  connectTimeoutSeconds: 'ConnectTimeout',
  addressFamily: 'AddressFamily',
  bindAddress: 'BindAddress',
  compression: 'Compression',
  rekeyBytes: 'RekeyLimit',
  rekeySeconds: 'RekeyLimit',
  preferredAuthentications: 'PreferredAuthentications',
} as const satisfies Partial<Record<keyof SshSettings, string>>;

export type OptionKey = keyof typeof OPTION_NAMES;

const KEYS: readonly OptionKey[] = Object.keys(OPTION_NAMES).filter((key): key is OptionKey => key in OPTION_NAMES);

/** The places of our own reading, of those options only on which it agrees with what ssh said. */
export function agreedPlaces(said: SshSettings, own: SshSettings): ReadonlyMap<string, OptionPlace> {
  const agreed = KEYS.filter((key) => own[key] !== null && agree(said[key], own[key])).map((key) =>
    OPTION_NAMES[key].toLowerCase(),
  );
  return new Map([...(own.places ?? [])].filter(([name]) => agreed.includes(name)));
}

/**
 * `ssh -G` prints file names with nothing between them but a blank, so one that has a blank in it falls apart. Where our
 * own reading has the same words, it knows which belong together.
 */
export function withWholeFileNames(said: SshSettings, own: SshSettings): SshSettings {
  const whole = (key: 'userKnownHosts' | 'globalKnownHosts'): readonly string[] | null =>
    said[key]?.join(' ') === own[key]?.join(' ') ? own[key] : said[key];
  return { ...said, userKnownHosts: whole('userKnownHosts'), globalKnownHosts: whole('globalKnownHosts') };
}

/** ssh has a list with +, - or ^ already worked into its own defaults. */
function agree(said: unknown, own: unknown): boolean {
  if (Array.isArray(own) && /^[+^-]/.test(String(own[0]))) return said !== null;
  if (typeof own === 'string' && typeof said === 'string') return said === own || own.includes('%');
  return JSON.stringify(said) === JSON.stringify(own);
}
