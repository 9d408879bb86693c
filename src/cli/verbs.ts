/** One row of the command line: what main registers, help prints and completion offers. */
export interface VerbSpec {
  readonly name: string;
  readonly group: 'Tunnels' | 'Profiles' | 'Scripts and service';
  /** For the overview: 25 characters at most, so that two columns fit a screen. */
  readonly brief: string;
  /** For `tunnel help VERB`: a few sentences; help breaks the lines. */
  readonly about: string;
  /** As in usage lines: `NAME` is required, `[NAME]` may be left out, `…` takes several. */
  readonly args: readonly string[];
  readonly options: readonly OptionSpec[];
  /** Command lines, each with what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** What completion offers for the first word: profile names, verbs, or these words. */
  readonly words: 'profiles' | 'verbs' | readonly string[];
  /** Left out of help and completion. */
  readonly hidden?: true;
}
export interface OptionSpec {
  /** Commander's form: `-f, --foreground`, `--wait <time>`. */
  readonly flags: string;
  readonly help: string;
}

const TAG: OptionSpec = { flags: '--tag <tag>', help: 'every profile with this tag' };
const ALL: OptionSpec = { flags: '--all', help: 'all of them' };
const YES: OptionSpec = { flags: '-y, --yes', help: 'do not ask' };

/** Every verb, in the order of the overview. `loaders.ts` says which module runs it. */
export const VERBS: readonly VerbSpec[] = [
  {
    name: 'up',
    group: 'Tunnels',
    brief: 'start, and wait until up',
    about:
      'Starts tunnels in the background and waits until they are up. Without a name on a terminal it offers a picker.',
    args: ['[NAME…]'],
    options: [
      TAG,
      ALL,
      { flags: '--wait <time>', help: 'how long to wait for the network (default 30s)' },
      { flags: '--no-wait', help: 'do not wait until they are up' },
      { flags: '--atomic', help: 'take down what was started unless all come up' },
      { flags: '-f, --foreground', help: 'run here until Ctrl-C or SIGTERM' },
    ],
    examples: [
      ['tunnel up pop-mail', 'one tunnel'],
      ['tunnel up --tag work', 'every profile with the tag'],
      ['tunnel up ./team.yaml --wait 2m', 'a profile at a path'],
      ['tunnel up -f pop-mail', 'for systemd and containers'],
    ],
    words: 'profiles',
  },
  {
    name: 'down',
    group: 'Tunnels',
    brief: 'drain and stop',
    about: 'Lets open connections end, then stops. A tunnel that is down already is no error.',
    args: ['[NAME…]'],
    options: [TAG, ALL, { flags: '--drain <time>', help: 'how long open connections may go on (default 10s)' }],
    examples: [
      ['tunnel down pop-mail', 'one tunnel'],
      ['tunnel down --all --drain 0', 'everything, at once'],
    ],
    words: 'profiles',
  },
  {
    name: 'restart',
    group: 'Tunnels',
    brief: 'connect afresh',
    about: 'Makes a new SSH connection and moves over to it: open connections survive where they can.',
    args: ['[NAME…]'],
    options: [
      TAG,
      ALL,
      { flags: '--wait <time>', help: 'how long to wait for the network (default 30s)' },
      { flags: '--no-wait', help: 'do not wait until they are up' },
    ],
    examples: [['tunnel restart pop-mail', 'one tunnel']],
    words: 'profiles',
  },
  {
    name: 'reload',
    group: 'Tunnels',
    brief: 'read profiles again',
    about:
      'Reads the profiles again and applies what changed; without a name, those of all running tunnels. Connections of unchanged forwards stay open.',
    args: ['[NAME…]'],
    options: [TAG, ALL],
    examples: [
      ['tunnel reload', 'all that run'],
      ['tunnel reload pop-mail', 'one'],
    ],
    words: 'profiles',
  },
  {
    name: 'status',
    group: 'Tunnels',
    brief: 'what runs, and how it is',
    about:
      'Shows the tunnels and their forwards, with the last error and what to do about it. Never starts anything. -v adds traffic and when each tunnel changed.',
    args: ['[NAME…]'],
    options: [{ flags: '-w, --watch', help: 'follow; on a pipe, a line per change' }],
    examples: [
      ['tunnel status', 'the table'],
      ['tunnel status pop-mail --json', 'for a script'],
      ['tunnel status --watch', 'live'],
    ],
    words: 'profiles',
  },
  {
    name: 'list',
    group: 'Tunnels',
    brief: 'every profile',
    about: 'Lists every profile, running or not.',
    args: [],
    options: [{ flags: '--tag <tag>', help: 'only profiles with this tag' }],
    examples: [
      ['tunnel list', 'all'],
      ['tunnel list --tag mail --json', 'for a script'],
    ],
    words: [],
  },
  {
    name: 'logs',
    group: 'Tunnels',
    brief: 'events and connections',
    about: 'Prints what happened: changes of state, finished connections, warnings.',
    args: ['[NAME]'],
    options: [
      { flags: '-f, --follow', help: 'go on printing what happens' },
      { flags: '--since <time>', help: 'how far back: 10m, 1h, 2d, or a date and time' },
    ],
    examples: [
      ['tunnel logs pop-mail --since 1h', 'the last hour'],
      ['tunnel logs -f', 'live'],
    ],
    words: 'profiles',
  },
  {
    name: 'ssh',
    group: 'Scripts and service',
    brief: 'ad hoc, instead of ssh -N',
    about:
      "Takes ssh's own options and does in this process what `ssh -N` does; 255 on failure. `true` as the command logs in and leaves.",
    args: ['[ssh…]'],
    options: [{ flags: '--save <name>', help: 'keep it as a profile' }],
    examples: [
      ['tunnel ssh -fNL 8080:web:80 alice@host', 'in the background'],
      ['tunnel ssh -W db:5432 bastion', 'stdin and stdout'],
      ['tunnel ssh -S ~/c -O check host', 'ask a master'],
    ],
    words: [],
  },
  {
    name: 'answer',
    group: 'Tunnels',
    brief: 'answer waiting questions',
    about: 'Asks here what tunnels are waiting for: a passphrase, a password, a code, a new host key.',
    args: ['[NAME]'],
    options: [],
    examples: [['tunnel answer', 'whatever is open']],
    words: 'profiles',
  },
  {
    name: 'new',
    group: 'Profiles',
    brief: 'write a profile',
    about:
      'Asks for the server and the ports, tries the login, and writes a profile; or takes them from the line that you use today.',
    args: ['[NAME]'],
    options: [
      { flags: '--from <line>', help: 'an `ssh -L …` line to take over' },
      { flags: '--force', help: 'replace the profile of that name' },
    ],
    examples: [
      ['tunnel new', 'the questions'],
      ["tunnel new --from 'ssh -L 113:pop.example.org:113 alice@pop.example.org'", ''],
    ],
    words: [],
  },
  {
    name: 'edit',
    group: 'Profiles',
    brief: 'change a profile',
    about: 'Opens a profile in $VISUAL or $EDITOR and checks it before it is kept.',
    args: ['NAME'],
    options: [],
    examples: [['tunnel edit pop-mail', '']],
    words: 'profiles',
  },
  {
    name: 'rename',
    group: 'Profiles',
    brief: 'give it another name',
    about: 'Renames a profile.',
    args: ['OLD', 'NEW'],
    options: [],
    examples: [['tunnel rename mail pop-mail', '']],
    words: 'profiles',
  },
  {
    name: 'rm',
    group: 'Profiles',
    brief: 'delete a profile',
    about: 'Deletes a profile whose tunnel is down.',
    args: ['NAME'],
    options: [YES, { flags: '--down', help: 'stop its tunnel first, if it runs' }],
    examples: [['tunnel rm pop-mail', '']],
    words: 'profiles',
  },
  {
    name: 'show',
    group: 'Profiles',
    brief: 'print a profile',
    about: 'Prints a profile as it is written; with --json, as it was read.',
    args: ['NAME'],
    options: [],
    examples: [['tunnel show pop-mail', '']],
    words: 'profiles',
  },
  {
    name: 'check',
    group: 'Profiles',
    brief: 'find what is wrong',
    about: 'Every mistake of one profile, or of all; of one, then each step on the way: DNS, TCP, login, first bytes.',
    args: ['[NAME]'],
    options: [{ flags: '--no-live', help: 'only read the profile' }],
    examples: [
      ['tunnel check', 'all profiles, as they are written'],
      ['tunnel check pop-mail', 'one, and the way to it'],
    ],
    words: 'profiles',
  },
  {
    name: 'explain',
    group: 'Profiles',
    brief: 'where each value is from',
    about:
      'Prints every value that counts, and the file and line that say so: the profile, ssh_config, or a default. Warnings name what in ssh_config cannot be honoured.',
    args: ['NAME'],
    options: [],
    examples: [
      ['tunnel explain pop-mail', 'the table'],
      ['tunnel explain pop-mail --json', 'for a script'],
    ],
    words: 'profiles',
  },
  {
    name: 'trust',
    group: 'Profiles',
    brief: 'accept a host key, a file',
    about:
      "Shows a host's fingerprints and records its keys; or, given a file of a working directory, accepts that profile as it is now.",
    args: ['HOST|FILE'],
    options: [YES, { flags: '--fingerprint <print>', help: 'trust only the key with this fingerprint' }],
    examples: [
      ['tunnel trust pop.example.org', 'a host key'],
      ['tunnel trust .tunnel/db.yaml', "a team's profile"],
    ],
    words: [],
  },
  {
    name: 'untrust',
    group: 'Profiles',
    brief: 'take that back',
    about: "Removes a host's key, or a profile's acceptance.",
    args: ['HOST|FILE'],
    options: [YES],
    examples: [['tunnel untrust pop.example.org', '']],
    words: [],
  },
  {
    name: 'authorize',
    group: 'Profiles',
    brief: 'a key that only tunnels',
    about:
      "Makes a key for one profile and prints the line for the server's authorized_keys that allows its forwards and nothing else. Can put it there, and proves by trying what the key opens and what not.",
    args: ['NAME'],
    options: [
      { flags: '--print', help: 'only print: no network, no questions' },
      { flags: '--install', help: 'put the line there, by the login that works today' },
      { flags: '--prove', help: 'try it: each forward opens, a shell does not' },
      { flags: '--use', help: 'have the profile log in with this key' },
      { flags: '--remove', help: 'take the line off the server again' },
      { flags: '--key <file>', help: 'an existing key instead of one of its own' },
    ],
    examples: [
      ['tunnel authorize pop-mail', 'the key, its line; asks on'],
      ['tunnel authorize pop-mail --install --use', 'all of it'],
    ],
    words: 'profiles',
  },
  {
    name: 'secret',
    group: 'Profiles',
    brief: 'passwords in the keychain',
    about:
      "Keeps passwords and passphrases in the system's keychain, or with --vault in an encrypted file, which a passphrase or a key file opens.",
    args: ['set|list|rm', '[KIND]', '[SUBJECT]'],
    options: [
      { flags: '--stdin', help: 'read the secret from stdin, for scripts' },
      { flags: '--vault', help: 'in an encrypted file, where there is no keychain' },
      { flags: '--key-file <path>', help: 'what opens the vault (or TUNNEL_VAULT_KEY_FILE)' },
    ],
    examples: [
      ['tunnel secret set password alice@pop.example.org', ''],
      ['tunnel secret set passphrase ~/.ssh/id_mail', ''],
      ['tunnel secret set --vault pop-mail', 'the password of its server'],
      ['tunnel secret list', ''],
    ],
    words: ['set', 'list', 'rm'],
  },
  {
    name: 'wait',
    group: 'Scripts and service',
    brief: 'until up, down or healthy',
    about: 'Waits until a tunnel is in a state, for scripts. 7 when time ran out.',
    args: ['NAME'],
    options: [
      { flags: '--state <state>', help: 'up (default) or down' },
      { flags: '--healthy', help: 'until its probes succeed, too' },
      { flags: '--timeout <time>', help: 'how long (default 30s)' },
    ],
    examples: [['tunnel wait pop-mail --healthy --timeout 1m', '']],
    words: 'profiles',
  },
  {
    name: 'port',
    group: 'Scripts and service',
    brief: 'the local port',
    about: 'Prints the port that a running tunnel listens on: of its only forward, or of the one named.',
    args: ['NAME', '[FORWARD]'],
    options: [],
    examples: [
      ['nc localhost "$(tunnel port pop-mail)"', ''],
      ['tunnel port mail imap', 'one forward of several'],
    ],
    words: 'profiles',
  },
  {
    name: 'daemon',
    group: 'Scripts and service',
    brief: 'the background supervisor',
    about:
      'The supervisor that holds the tunnels. `up` starts it when needed. `stop` keeps what was wanted for its next start; `run` runs it here, for a service manager.',
    args: ['status|stop|restart|run'],
    options: [],
    examples: [
      ['tunnel daemon status', ''],
      ['tunnel daemon restart', 'after an update'],
    ],
    words: ['status', 'stop', 'restart', 'run'],
  },
  {
    name: 'completion',
    group: 'Scripts and service',
    brief: 'for your shell',
    about: 'Prints a script that completes verbs, options and profile names.',
    args: ['bash|zsh|fish|powershell'],
    options: [],
    examples: [
      ['eval "$(tunnel completion bash)"', 'in ~/.bashrc'],
      ['tunnel completion zsh > ~/.zfunc/_tunnel', 'with ~/.zfunc in fpath'],
      ['tunnel completion fish > ~/.config/fish/completions/tunnel.fish', ''],
    ],
    words: ['bash', 'zsh', 'fish', 'powershell'],
  },
  {
    name: 'map',
    group: 'Profiles',
    brief: 'ports of the home router',
    about:
      "Without a port, the router's address, protocols and mappings. With ports, asks it to lead each here, keeps them until Ctrl-C and gives them back. A profile does so with `map`.",
    args: ['[[PORT:]HERE[/udp]…]'],
    options: [
      { flags: '--by <protocol>', help: 'only pcp, nat-pmp or upnp' },
      { flags: '--lease <time>', help: 'ask for so long at a time (default 2h)' },
    ],
    examples: [
      ['tunnel map', 'what the router says'],
      ['tunnel map 80:8080', "its port 80 to this machine's 8080"],
      ['tunnel map 5000/udp --json', 'for a script'],
    ],
    words: [],
  },
  {
    name: 'demo',
    group: 'Scripts and service',
    brief: 'see it work, offline',
    about:
      'Runs an SSH server and a POP3 server of its own in a throw-away home, and a tunnel through them: nothing else is needed, nothing is kept.',
    args: [],
    options: [],
    examples: [['tunnel demo', '']],
    words: [],
  },
  {
    name: 'version',
    group: 'Scripts and service',
    brief: 'of command and supervisor',
    about: 'Prints the version of this command, and of the supervisor where one runs.',
    args: [],
    options: [],
    examples: [['tunnel version --json', '']],
    words: [],
  },
  {
    name: 'help',
    group: 'Scripts and service',
    brief: 'of a verb',
    about: 'Explains a verb.',
    args: ['[VERB]'],
    options: [],
    examples: [['tunnel help up', '']],
    words: 'verbs',
  },
  {
    name: '__complete',
    group: 'Scripts and service',
    brief: '',
    about: 'What the completion scripts call.',
    args: ['[WORD…]'],
    options: [],
    examples: [],
    words: [],
    hidden: true,
  },
];

/** Options that every verb takes, before it or after it. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '--json', help: 'data and errors as JSON on stdout' },
  { flags: '-q, --quiet', help: 'no talk but warnings and errors' },
  { flags: '-v, --verbose', help: 'say more' },
  { flags: '--no-color', help: 'no colours' },
  { flags: '-h, --help', help: 'help for the verb' },
];
