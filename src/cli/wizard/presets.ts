/** A service that people reach through a tunnel. */
export interface Service {
  readonly id: string;
  readonly label: string;
  /** Its own port at the server. */
  readonly port: number;
  /** The local port to suggest where its own needs root; the port plus 1000 where this is left out. */
  readonly usual?: number;
  /** What to name the forward, and the profile when it is the only one. */
  readonly name: string;
}

export interface Preset {
  readonly id: string;
  readonly label: string;
  /** The name to suggest for the profile. */
  readonly name: string;
  /** Such services run on the SSH server itself more often than not, and listen on its loopback only. */
  readonly onServer: boolean;
  readonly services: readonly Service[];
}

/** What the wizard offers before "something else". */
export const PRESETS: readonly Preset[] = [
  {
    id: 'mail',
    label: 'Mail: POP3, IMAP, SMTP',
    name: 'mail',
    onServer: false,
    services: [
      { id: 'pop3', label: 'POP3 (110): fetch mail', port: 110, name: 'pop3' },
      { id: 'pop3s', label: 'POP3 over TLS (995)', port: 995, name: 'pop3s' },
      { id: 'imap', label: 'IMAP (143): read mail where it lies', port: 143, name: 'imap' },
      { id: 'imaps', label: 'IMAP over TLS (993)', port: 993, name: 'imaps' },
      { id: 'smtp', label: 'SMTP submission (587): send mail', port: 587, name: 'smtp' },
    ],
  },
  {
    id: 'web',
    label: 'Web: HTTP, HTTPS',
    name: 'web',
    onServer: true,
    services: [
      { id: 'http', label: 'HTTP (80)', port: 80, usual: 8080, name: 'http' },
      { id: 'https', label: 'HTTPS (443)', port: 443, usual: 8443, name: 'https' },
      { id: 'http-alt', label: 'HTTP on 8080: application servers', port: 8080, name: 'http-alt' },
    ],
  },
  {
    id: 'database',
    label: 'Database: PostgreSQL, MySQL, Redis, MongoDB',
    name: 'db',
    onServer: true,
    services: [
      { id: 'postgres', label: 'PostgreSQL (5432)', port: 5432, name: 'postgres' },
      { id: 'mysql', label: 'MySQL, MariaDB (3306)', port: 3306, name: 'mysql' },
      { id: 'redis', label: 'Redis (6379)', port: 6379, name: 'redis' },
      { id: 'mongodb', label: 'MongoDB (27017)', port: 27_017, name: 'mongodb' },
    ],
  },
];
