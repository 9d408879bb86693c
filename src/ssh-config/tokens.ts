import { createHash } from 'node:crypto';
import { isAbsolute, join } from 'node:path';

/** What the %-tokens of ssh_config stand for (ssh_config(5), TOKENS), and the variables of `${NAME}`. */
export interface TokenFacts {
  /** %h: the host that is dialled. */
  readonly host: string;
  /** %n: the host as it was asked for. */
  readonly original: string;
  readonly port: number;
  /** %r: the name to log in with. */
  readonly user: string;
  /** %k: HostKeyAlias, else the host as it was asked for. */
  readonly hostKeyAlias: string | null;
  /** %j: ProxyJump as written, else nothing. */
  readonly proxyJump: string;
  readonly local: LocalFacts;
}

/** What belongs to this machine and person. */
export interface LocalFacts {
  /** %u */
  readonly user: string;
  /** %d, and what a leading ~ means. */
  readonly home: string;
  /** %i */
  readonly uid: number;
  /** %l: the name of this machine, with its domain where it has one. */
  readonly hostName: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Expands %-tokens.
 * @throws RangeError naming a token that there is not, as ssh does
 */
export function expandTokens(text: string, facts: TokenFacts): string {
  return text.replace(/%(.?)/gs, (_, sign: string) => {
    const value = tokenValue(sign, facts);
    if (value === undefined) throw new RangeError(`unknown token %${sign} in ${text}`);
    return value;
  });
}

/**
 * Expands a file name of ssh_config: `${ENV}`, %-tokens and a leading ~.
 * @throws RangeError naming a token or a variable that there is not, as ssh does
 */
export function expandFile(text: string, facts: TokenFacts): string {
  const { env } = facts.local;
  const named = text.replace(/\$\{([^}]*)\}/g, (_, name: string) => {
    const value = env[name];
    if (value === undefined) throw new RangeError(`environment variable ${name} is not set, in ${text}`);
    return value;
  });
  return expandHome(expandTokens(named, facts), facts.local.home);
}

/** A leading `~` or `~/` as the home; a relative path from `base`. A path of somebody else (`~bob/x`) stays as it is. */
export function expandHome(path: string, home: string, base = home): string {
  if (path === '~') return home;
  if (path.startsWith('~/')) return join(home, path.slice(2));
  return isAbsolute(path) || path.startsWith('~') ? path : join(base, path);
}

function tokenValue(sign: string, facts: TokenFacts): string | undefined {
  const { local } = facts;
  switch (sign) {
    case '%':
      return '%';
    case 'h':
      return facts.host;
    case 'n':
      return facts.original;
    case 'p':
      return String(facts.port);
    case 'r':
      return facts.user;
    case 'u':
      return local.user;
    case 'd':
      return local.home;
    case 'i':
      return String(local.uid);
    case 'j':
      return facts.proxyJump;
    case 'k':
      return facts.hostKeyAlias ?? facts.original;
    case 'l':
      return local.hostName;
    case 'L':
      return local.hostName.split('.')[0];
    case 'C':
      return connectionHash(facts);
    default:
      return undefined;
  }
}

/** SHA-1 of %l%h%p%r%j (ssh_config(5); %j since OpenSSH 9.6). */
function connectionHash({ local, host, port, user, proxyJump }: TokenFacts): string {
  return createHash('sha1').update(`${local.hostName}${host}${port}${user}${proxyJump}`).digest('hex');
}
