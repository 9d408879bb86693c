import { createHmac, timingSafeEqual } from 'node:crypto';

/** The port that known_hosts does not write down. */
const DEFAULT_PORT = 22;

/** The name under which known_hosts holds a host: `host`, or `[host]:port` off port 22; in lower case, as OpenSSH compares. */
export function knownHostName(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === DEFAULT_PORT ? name : `[${name}]:${port}`;
}

/**
 * Whether a host field (comma patterns with `*`, `?` and `!negation`, or one `|1|salt|hash`) speaks of this name.
 * @param name as `knownHostName` makes it
 */
export function matchesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith('|')) return matchesHashed(hosts, name);
  let found = false;
  for (const written of hosts.toLowerCase().split(',')) {
    const negated = written.startsWith('!');
    if (!matchesPattern(negated ? written.slice(1) : written, name)) continue;
    if (negated) return false; // sshd(8): a negated pattern refuses the whole line, whatever else matches
    found = true;
  }
  return found;
}

/** True where the field stands for more names than it spells: removing one host must leave such a line alone. */
export function isWildcard(hosts: string): boolean {
  return !hosts.startsWith('|') && /[*?!]/.test(hosts);
}

/** `|1|salt|hash` of a name: HMAC-SHA1 keyed with the salt (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export function hashHost(name: string, salt: Buffer): string {
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash}`;
}

function matchesHashed(hosts: string, name: string): boolean {
  const [, version, saltText, hashText] = hosts.split('|');
  if (version !== '1' || saltText === undefined || hashText === undefined) return false;
  const stored = Buffer.from(hashText, 'base64');
  const made = createHmac('sha1', Buffer.from(saltText, 'base64')).update(name).digest();
  return stored.length === made.length && timingSafeEqual(stored, made);
}

/** Globs by walking, not by a regular expression: a hostile pattern may cost its length times the name's, never more. */
export function matchesPattern(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let retry = 0;
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++;
      retry = n;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++retry;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
