import * as z from 'zod';
import { formatDuration } from '../model/duration.ts';
import { DEFAULTS, PROFILE_NAME, type Profile } from '../model/profile.ts';
import type { HookCommand, SecretSource } from '../model/plan.ts';
import { field, fields, needed } from './rows.ts';
import { forward } from './schema-forward.ts';
import { via } from './schema-hop.ts';
import { count, duration, durationOr, line, path, prose, reject, secretWord } from './values.ts';

const TIME = { type: 'duration', unit: 'ms, s, m, h, d' } as const;

const hold = fields({
  hold: field(duration, {
    ...TIME,
    help: 'How long a client waits, from its connection to the open channel, over an outage too.',
    default: formatDuration(DEFAULTS.whileDown.holdMs),
    example: '15s',
  }),
  queue: field(count(0, 65_536), {
    type: 'number',
    unit: 'connections',
    help: 'How many may wait at once.',
    default: String(DEFAULTS.whileDown.queue),
    example: '256',
  }),
}).transform(({ hold: holdMs, queue }) => ({ holdMs, queue }));

const refuse = z
  .string()
  .transform((text, context): 'refuse' =>
    text === 'refuse' ? text : reject(context, 'must be refuse or { hold: 15s, queue: 256 }'),
  );

const argv = z.array(line).min(1, 'names no command');
const secret = z.union([
  secretWord,
  fields({
    command: needed(argv, {
      type: 'list: a program and its arguments',
      help: 'Runs a program, without a shell, and takes the first line that it prints.',
      example: '[pass, show, mail]',
    }),
  }).transform(({ command }): SecretSource => ({ kind: 'command', argv: command })),
  fields({
    file: needed(path, {
      type: 'file path',
      help: 'Takes the text of a file that only you may read; under systemd, `$CREDENTIALS_DIRECTORY/NAME` is a credential (LoadCredential=).',
      example: '~/.config/mail-password',
    }),
  }).transform(({ file }): SecretSource => ({ kind: 'file', path: file })),
]);
const secretRow = (help: string) => ({
  type: 'keychain, vault, prompt, { command: […] } or { file: PATH }',
  help,
  default: 'keychain, then prompt',
  example: 'keychain',
});

const hook = z.union([line, argv]).transform((command): HookCommand => command);
const hookRow = (when: string) => ({
  type: 'command: a line for the shell, or a list without one',
  help: `Runs ${when}.`,
  default: 'nothing',
  example: 'notify-send tunnel',
});

/** A profile, one row a field. Parser, help, wizard, JSON Schema and reference page all come from here. */
export const profileSchema = fields({
  description: field(prose, {
    type: 'text',
    help: 'What the tunnel is for.',
    default: 'nothing',
    example: 'POP3 mail, encrypted on the way',
  }),
  tags: field(z.array(line.regex(/^[^\s,]+$/, 'must be one word')), {
    type: 'list of words',
    help: 'Groups of profiles, for `--tag`.',
    default: '[]',
    example: '[mail, home]',
  }),
  via: field(via, {
    type: 'user@host:port, an ssh_config alias, an object, or a list of these',
    help: 'The SSH server; a list is a chain with the jump hosts first and the server last.',
    default: 'none: needed by every kind of forward but relay',
    example: 'alice@pop.example.org',
  }),
  sshConfig: field(path, {
    type: 'file path or none',
    help: "The ssh_config file to honour in place of your own and the system's; `none` reads no file.",
    default: 'what ssh itself reads',
    example: '~/.ssh/config',
  }),
  forwards: needed(z.array(forward).min(1, 'lists no forward').max(1024, 'lists more than 1024 forwards'), {
    type: 'list of forwards',
    help: 'What leads where: BIND -> TARGET for a local forward, or an object with one of local, remote, socks, remote-socks, trigger, relay.',
    example: '[ localhost:113 -> pop.example.org:113 ]',
  }),
  keepalive: field(
    fields({
      interval: field(duration, {
        ...TIME,
        help: 'How often a silent SSH connection is asked for a sign of life.',
        default: `ssh_config's ServerAliveInterval, else ${formatDuration(DEFAULTS.keepalive.intervalMs)}`,
        example: '15s',
      }),
      maxMissed: field(count(1, 1000), {
        type: 'number',
        unit: 'answers',
        help: 'How many answers may be missing in a row; loss is seen within interval × (maxMissed + 1).',
        default: `ssh_config's ServerAliveCountMax, else ${DEFAULTS.keepalive.maxMissed}`,
        example: '3',
      }),
    }).transform(({ interval, maxMissed }) => ({ intervalMs: interval, maxMissed })),
    { type: 'object', help: 'How the loss of a silent connection is seen.', default: 'see its fields' },
  ),
  reconnect: field(
    fields({
      initial: field(duration, {
        ...TIME,
        help: 'The first delay before dialling again; it doubles.',
        default: formatDuration(DEFAULTS.reconnect.initialMs),
        example: '500ms',
      }),
      max: field(duration, {
        ...TIME,
        help: 'The longest delay.',
        default: formatDuration(DEFAULTS.reconnect.maxMs),
        example: '30s',
      }),
      giveUpAfter: field(durationOr('never'), {
        ...TIME,
        type: 'duration or never',
        help: 'When to stop trying.',
        default: 'never',
        example: 'never',
      }),
    }).transform(({ initial, max, giveUpAfter }) => ({ initialMs: initial, maxMs: max, giveUpAfterMs: giveUpAfter })),
    { type: 'object', help: 'How a lost connection is dialled again.', default: 'see its fields' },
  ),
  timeouts: field(
    fields({
      connect: field(duration, {
        ...TIME,
        help: 'DNS, TCP, version and key exchange of each hop.',
        default: `ssh_config's ConnectTimeout, else ${formatDuration(DEFAULTS.timeouts.connectMs)}`,
        example: '10s',
      }),
      login: field(duration, {
        ...TIME,
        help: 'The login; it stands still while a person is asked.',
        default: formatDuration(DEFAULTS.timeouts.loginMs),
        example: '30s',
      }),
      channel: field(duration, {
        ...TIME,
        help: 'Each channel open or forward request.',
        default: formatDuration(DEFAULTS.timeouts.channelMs),
        example: '15s',
      }),
    }).transform(({ connect, login, channel }) => ({ connectMs: connect, loginMs: login, channelMs: channel })),
    { type: 'object', help: 'How long each step may take.', default: 'see its fields' },
  ),
  limits: field(
    fields({
      connections: field(count(1, 65_536), {
        type: 'number',
        unit: 'connections',
        help: 'How many may be open at once, for each forward.',
        default: String(DEFAULTS.limits.connections),
        example: '1024',
      }),
      perClient: field(count(1, 65_536), {
        type: 'number',
        unit: 'connections',
        help: 'How many of them one client address may have. Unless it is written, the programs of this machine, which share one address, may have all of `connections`.',
        default: String(DEFAULTS.limits.perClient),
        example: '256',
      }),
    }),
    { type: 'object', help: 'How much one forward may carry at once.', default: 'see its fields' },
  ),
  whileDown: field(z.union([refuse, hold]), {
    type: 'refuse or object',
    help: 'What becomes of clients that connect during an outage: held and then served, or refused at once.',
    default: 'held, see its fields',
    example: '{ hold: 15s, queue: 256 }',
  }),
  probe: field(
    fields({
      every: field(duration, {
        ...TIME,
        help: 'How often `expect` is asked.',
        default: formatDuration(DEFAULTS.probe.everyMs),
        example: '30s',
      }),
      timeout: field(duration, {
        ...TIME,
        help: 'How long the service may take to answer.',
        default: formatDuration(DEFAULTS.probe.timeoutMs),
        example: '5s',
      }),
    }).transform(({ every, timeout }) => ({ everyMs: every, timeoutMs: timeout })),
    { type: 'object', help: 'How the health of services is probed.', default: 'see its fields' },
  ),
  secrets: field(
    fields({
      password: field(secret, secretRow('Where the password of the login comes from.')),
      passphrase: field(secret, secretRow('Where the passphrases of key files come from.')),
      totp: field(secret, secretRow('Where the seed of one-time codes comes from.')),
    }),
    { type: 'object', help: 'Where secrets come from; never the secrets themselves.', default: 'see its fields' },
  ),
  connections: field(z.union([count(1, 16), z.literal('auto', { error: 'must be 1 to 16, or auto' })]), {
    type: 'number or auto',
    unit: 'SSH connections',
    help: 'How many parallel SSH connections the channels are spread over, opened as they are needed; auto: up to 4, from 128 channels on each.',
    default: String(DEFAULTS.connections),
    example: '2',
  }),
  after: field(z.array(line.regex(PROFILE_NAME, 'is no name of a profile')), {
    type: 'list of profile names',
    help: 'Profiles that must be up first.',
    default: '[]',
    example: '[vpn]',
  }),
  hooks: field(
    fields({
      up: field(hook, hookRow('when the tunnel is up')),
      down: field(hook, hookRow('when the tunnel is down again')),
      waiting: field(hook, hookRow('when the tunnel waits for a person')),
    }),
    { type: 'object', help: 'Commands of yours, run on events.', default: 'see its fields' },
  ),
});

/** What the schema reads is what the model says: the compiler compares the two here. */
export const readsProfile: (written: z.output<typeof profileSchema>) => Profile = (written) => written;
