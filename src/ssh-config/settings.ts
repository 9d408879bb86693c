/** What ssh_config says about one host, read: `null` is "it says nothing". Texts are as written, tokens unexpanded. */
export interface SshSettings {
  /** Who read it: for `explain`, and for what defaults mean. */
  readonly source: 'ssh -G' | 'library' | 'none';
  readonly hostName: string | null;
  readonly port: number | null;
  readonly user: string | null;
  /** In ssh's order; an empty list is `IdentityFile none`. */
  readonly identityFiles: readonly string[] | null;
  /** The files that ssh would try by itself; only `ssh -G` says so. */
  readonly defaultIdentityFiles: readonly string[] | null;
  readonly identitiesOnly: boolean;
  /** A path, `none`, or `SSH_AUTH_SOCK`. */
  readonly identityAgent: string | null;
  readonly certificateFiles: readonly string[];
  readonly proxyJump: string | null;
  readonly proxyCommand: string | null;
  readonly hostKeyAlias: string | null;
  readonly userKnownHosts: readonly string[] | null;
  readonly globalKnownHosts: readonly string[] | null;
  readonly strictHostKeyChecking: 'ask' | 'yes' | 'accept-new' | 'no' | null;
  readonly hashKnownHosts: boolean;
  readonly updateHostKeys: 'yes' | 'ask' | 'no' | null;
  readonly revokedHostKeys: string | null;
  readonly caSignatureAlgorithms: readonly string[] | null;
  readonly ciphers: readonly string[] | null;
  readonly macs: readonly string[] | null;
  readonly kex: readonly string[] | null;
  readonly hostKeyAlgorithms: readonly string[] | null;
  /** Seconds; 0 in ssh_config (no keepalive) is null. */
  readonly serverAliveSeconds: number | null;
  readonly serverAliveCountMax: number | null;
  readonly connectTimeoutSeconds: number | null;
  readonly addressFamily: 'any' | 'inet' | 'inet6' | null;
  readonly bindAddress: string | null;
  readonly compression: boolean | null;
  readonly rekeyBytes: number | null;
  readonly rekeySeconds: number | null;
  readonly preferredAuthentications: readonly string[] | null;
  /** Methods that are switched off, BatchMode included. */
  readonly refusedMethods: readonly string[];
  /** The only targets of a SOCKS proxy on the server, `HOST:PORT` each, `*` for any of either; null is no bound. */
  readonly permitRemoteOpen: readonly string[] | null;
  /** Forwards by ssh_config's words, for `import` and `tunnel ssh`; a profile never takes them over by itself. */
  readonly forwards: {
    readonly local: readonly string[];
    readonly remote: readonly string[];
    readonly dynamic: readonly string[];
  };
  /** Every option as it was told, for what only `tunnel ssh` heeds: what is default and what is not stands side by side. */
  readonly said: OptionValues;
  /** Sentences for the person: what is there and cannot be honoured. */
  readonly warnings: readonly string[];
  /** Where the first value of each option stands, by its name in lower case: only our own reading can tell. */
  readonly places?: ReadonlyMap<string, OptionPlace>;
  /** Which of `hostName`, `port` and `user` ssh tells though no file says them. */
  readonly unsaid?: ReadonlySet<string>;
}

/** A line of ssh_config or of a file that it includes; lines count from 1. */
export interface OptionPlace {
  readonly file: string;
  readonly line: number;
}

/** Option names in lower case, each with every value that it was given, in order. */
export type OptionValues = ReadonlyMap<string, readonly string[]>;

/**
 * Reads the options that we know; the others are named in a warning when they could matter to a tunnel.
 * @param said what was read for the host
 * @param silent what the same reader says where nothing is configured: what is equal there is a default, not a wish.
 */
export function readSettings(source: SshSettings['source'], said: OptionValues, silent: OptionValues): SshSettings {
  const options = new Options(said, silent);
  return {
    source,
    hostName: options.one('hostname'),
    port: options.number('port', 1, 65_535),
    user: options.one('user'),
    identityFiles: withoutNone(options.many('identityfile')),
    defaultIdentityFiles: silent.get('identityfile') ?? null,
    identitiesOnly: options.flag('identitiesonly') ?? false,
    identityAgent: options.one('identityagent'),
    certificateFiles: withoutNone(options.many('certificatefile')) ?? [],
    proxyJump: options.unlessNone('proxyjump'),
    proxyCommand: options.unlessNone('proxycommand'),
    hostKeyAlias: options.one('hostkeyalias'),
    userKnownHosts: withoutNone(options.words('userknownhostsfile')),
    globalKnownHosts: withoutNone(options.words('globalknownhostsfile')),
    strictHostKeyChecking: strictness(options.one('stricthostkeychecking')),
    hashKnownHosts: options.flag('hashknownhosts') ?? false,
    updateHostKeys: updates(options.one('updatehostkeys')),
    revokedHostKeys: options.unlessNone('revokedhostkeys'),
    caSignatureAlgorithms: options.list('casignaturealgorithms'),
    ciphers: options.list('ciphers'),
    macs: options.list('macs'),
    kex: options.list('kexalgorithms'),
    hostKeyAlgorithms: options.list('hostkeyalgorithms'),
    serverAliveSeconds: secondsOf(options.one('serveraliveinterval')),
    serverAliveCountMax: options.number('serveralivecountmax', 1, 1000),
    connectTimeoutSeconds: secondsOf(options.one('connecttimeout')),
    addressFamily: family(options.one('addressfamily')),
    bindAddress: options.unlessNone('bindaddress'),
    compression: options.flag('compression'),
    ...rekey(options.one('rekeylimit')),
    preferredAuthentications: options.list('preferredauthentications'),
    refusedMethods: refusedMethods(options),
    permitRemoteOpen: permitted(options.words('permitremoteopen')),
    forwards: {
      local: options.many('localforward') ?? [],
      remote: options.many('remoteforward') ?? [],
      dynamic: options.many('dynamicforward') ?? [],
    },
    said,
    warnings: [...inexact(options), ...options.notHonoured()],
  };
}

const HONOURED = new Set(
  `host hostname port user identityfile identitiesonly identityagent certificatefile proxyjump proxycommand hostkeyalias
  userknownhostsfile globalknownhostsfile stricthostkeychecking hashknownhosts updatehostkeys revokedhostkeys casignaturealgorithms ciphers macs kexalgorithms
  hostkeyalgorithms serveraliveinterval serveralivecountmax connecttimeout addressfamily bindaddress compression rekeylimit
  preferredauthentications pubkeyauthentication passwordauthentication kbdinteractiveauthentication
  challengeresponseauthentication batchmode localforward remoteforward dynamicforward permitremoteopen`.split(/\s+/),
);

/** About sessions, terminals, sharing and logs, or how ssh reads its own file: a tunnel is the same without them. */
const IRRELEVANT = new Set(
  `addkeystoagent batchmode canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots
  canonicalizepermittedcnames channeltimeout clearallforwardings controlmaster controlpath controlpersist
  enableescapecommandline escapechar exitonforwardfailure fingerprinthash forkafterauthentication forwardagent forwardx11
  forwardx11timeout forwardx11trusted gatewayports ignoreunknown include ipqos logverbose loglevel match
  numberofpasswordprompts obscurekeystroketiming permitlocalcommand localcommand refuseconnection
  remotecommand requesttty sendenv sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink syslogfacility tag
  tcpkeepalive tunnel tunneldevice versionaddendum visualhostkey xauthlocation gssapidelegatecredentials gssapikexalgorithms
  gssapirenewalforcesrekey gssapitrustdns gssapikeyexchange gssapiserveridentity gssapiclientidentity connectionattempts checkhostip
  usekeychain`.split(/\s+/),
);

class Options {
  readonly #said: OptionValues;
  readonly #silent: OptionValues;

  constructor(said: OptionValues, silent: OptionValues) {
    this.#said = said;
    this.#silent = silent;
  }

  /** Every value of an option; null where it says no more than the default. */
  many(name: string): readonly string[] | null {
    const values = this.#said.get(name);
    if (values === undefined || values.length === 0) return null;
    return sameValues(values, this.#silent.get(name)) ? null : values;
  }

  one(name: string): string | null {
    return this.many(name)?.[0] ?? null;
  }

  unlessNone(name: string): string | null {
    const value = this.one(name);
    return value?.toLowerCase() === 'none' ? null : value;
  }

  list(name: string): readonly string[] | null {
    return this.one(name)?.split(',') ?? null;
  }

  words(name: string): readonly string[] | null {
    return this.many(name)?.flatMap(splitWords) ?? null;
  }

  flag(name: string): boolean | null {
    const value = this.one(name)?.toLowerCase();
    return value === undefined ? null : value === 'yes' || value === 'true';
  }

  number(name: string, least: number, most: number): number | null {
    const value = Number(this.one(name) ?? NaN);
    return Number.isInteger(value) && value >= least && value <= most ? value : null;
  }

  isOff(name: string): boolean {
    const value = this.one(name)?.toLowerCase();
    return value === 'no' || value === 'false';
  }

  *notHonoured(): Generator<string> {
    for (const name of this.#said.keys()) {
      if (HONOURED.has(name) || IRRELEVANT.has(name) || this.many(name) === null || this.#saysNo(name)) continue;
      yield `ssh_config: ${name} is not honoured`;
    }
  }

  #saysNo(name: string): boolean {
    return ['no', 'none', 'false'].includes(this.one(name)?.toLowerCase() ?? 'no');
  }
}

/** What we honour in another sense than ssh does, and say so. */
function* inexact(options: Options): Generator<string> {
  const strict = strictness(options.one('stricthostkeychecking'));
  if (strict === 'no') {
    yield 'ssh_config: StrictHostKeyChecking no is read as accept-new: a changed host key is refused all the same';
  }
  if (strict === 'yes') {
    yield 'ssh_config: StrictHostKeyChecking yes: an unknown host key is still asked about on a terminal';
  }
}

function refusedMethods(options: Options): string[] {
  const batch = options.flag('batchmode') === true;
  const keyboard = options.isOff('kbdinteractiveauthentication') || options.isOff('challengeresponseauthentication');
  return [
    ...(options.isOff('pubkeyauthentication') ? ['publickey'] : []),
    ...(batch || keyboard ? ['keyboard-interactive'] : []),
    ...(batch || options.isOff('passwordauthentication') ? ['password'] : []),
  ];
}

function sameValues(a: readonly string[], b: readonly string[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((value, index) => value === b[index]);
}

function withoutNone(files: readonly string[] | null): readonly string[] | null {
  return files?.filter((file) => file.toLowerCase() !== 'none') ?? null;
}

/** Words of a line of ssh_config; double quotes hold spaces together. */
export function splitWords(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

/** `any` is no bound, `none` no target at all. */
function permitted(words: readonly string[] | null): readonly string[] | null {
  if (words === null || words.some((word) => word.toLowerCase() === 'any')) return null;
  return words.filter((word) => word.toLowerCase() !== 'none');
}

function strictness(value: string | null): SshSettings['strictHostKeyChecking'] {
  switch (value?.toLowerCase()) {
    case 'yes':
    case 'true':
      return 'yes';
    case 'no':
    case 'off':
    case 'false':
      return 'no';
    case 'accept-new':
    case 'ask':
      return value?.toLowerCase() === 'ask' ? 'ask' : 'accept-new';
    default:
      return null;
  }
}

function updates(value: string | null): SshSettings['updateHostKeys'] {
  const word = value?.toLowerCase();
  if (word === 'ask') return 'ask';
  if (word === 'yes' || word === 'true') return 'yes';
  return word === 'no' || word === 'false' ? 'no' : null;
}

function family(value: string | null): SshSettings['addressFamily'] {
  const word = value?.toLowerCase();
  return word === 'any' || word === 'inet' || word === 'inet6' ? word : null;
}

/** Times of ssh_config: `90`, `1m30s`, `none` (sshd_config(5), TIME FORMATS). Nothing, none and 0 are null. */
export function secondsOf(value: string | null): number | null {
  if (value === null || !/^(?:\d+[smhdw]?)+$/i.test(value)) return null;
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
  const total = [...value.matchAll(/(\d+)([smhdw]?)/gi)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (units[unit?.toLowerCase() || 's'] ?? 1),
    0,
  );
  return total === 0 ? null : total;
}

/** `1G 1h`, `default none`, or as `ssh -G` prints it, `1073741824 3600`. */
function rekey(value: string | null): Pick<SshSettings, 'rekeyBytes' | 'rekeySeconds'> {
  const [amount = '', time = ''] = value?.split(/\s+/) ?? [];
  const match = /^(\d+)([KMG]?)$/i.exec(amount);
  const scale: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
  const bytes = match === null ? 0 : Number(match[1]) * (scale[match[2]?.toUpperCase() ?? ''] ?? 1);
  return { rekeyBytes: bytes === 0 ? null : bytes, rekeySeconds: secondsOf(time) };
}

/** Settings of a host about which nothing is read: `sshConfig: none`. */
export const NO_SETTINGS: SshSettings = readSettings('none', new Map(), new Map());
