import * as z from 'zod';
import { formatDuration } from '../model/duration.ts';
import { parseLocalForward, type ForwardSpec } from '../model/forward-spec.ts';
import type { Expectation } from '../model/plan.ts';
import { DEFAULTS } from '../model/profile.ts';
import { forwardMistakes } from './checks.ts';
import { forwardMistake } from './forward-mistake.ts';
import { field, fields, needed } from './rows.ts';
import {
  bind,
  clientTarget,
  datagram,
  duration,
  durationOr,
  expectation,
  line,
  network,
  oneOf,
  pattern,
  port,
  reject,
  target,
  userName,
} from './values.ts';

const PROTOCOLS = ['tcp', 'udp'] as const;
const BIND_TYPE = 'bind address: PORT, HOST:PORT, auto or unix:/PATH';

const datagramExpectation = fields({
  send: needed(datagram, {
    type: 'text, its characters being bytes',
    help: 'The datagram that a UDP service is asked with.',
    example: 'ping',
  }),
  match: field(pattern, {
    type: '/REGEX/',
    help: 'What its answer must look like.',
    default: 'any answer',
    example: '/^pong/',
  }),
}).transform(({ send, match = null }): Expectation => ({ kind: 'datagram', send, match }));

const common = {
  name: field(line.max(64).regex(/^[A-Za-z0-9][A-Za-z0-9._:-]*$/, 'must be letters, digits and . _ : - only'), {
    type: 'text',
    help: 'What the forward is called in status and logs; unique in its profile.',
    default: 'its bind address',
    example: 'imap',
  }),
  open: field(oneOf('always', 'on-demand'), {
    type: 'always or on-demand',
    help: 'Whether the SSH connection is made at once or by the first connection of a client.',
    default: 'always',
    example: 'on-demand',
  }),
  idle: field(duration, {
    type: 'duration',
    help: 'Ends the need for an SSH connection after no client and no byte for so long; needs `open: on-demand` or a trigger, whose ports it closes. A UDP relay forgets a client after it.',
    default: `${formatDuration(DEFAULTS.idleMs)} with on-demand and for triggers, ${formatDuration(DEFAULTS.udpIdleMs)} for a UDP relay`,
    example: '10m',
  }),
  lifetime: field(durationOr('none'), {
    type: 'duration or none',
    help: 'Closes an on-demand forward after so long in any case.',
    default: 'none',
    example: '8h',
  }),
  clients: field(oneOf('many', 'exclusive', 'takeover', 'queue'), {
    type: 'many, exclusive, takeover or queue',
    help: 'How many client addresses at a time: many; one, and a second is refused, replaces the first, or waits.',
    default: 'many; exclusive for a trigger',
    example: 'many',
  }),
  allow: field(z.array(network), {
    type: 'list of addresses or networks',
    help: 'The client addresses that may connect, as our listener or the server tells them; everybody else is closed at once.',
    default: 'everybody who can reach the bind address',
    example: '[127.0.0.0/8]',
  }),
  gateway: field(z.boolean(), {
    type: 'true or false',
    help: 'Must be true for a bind address beyond loopback, so that nothing is opened to a network by mistake.',
    default: 'false',
    example: 'true',
  }),
  access: field(oneOf('owner', 'group', 'everybody'), {
    type: 'owner, group or everybody',
    help: 'Whose programs may connect to a Unix socket that we make: its file is 0600, 0660 or 0666.',
    default: 'owner',
    example: 'group',
  }),
  expect: field(z.union([expectation, datagramExpectation]), {
    type: 'tcp, pop3, imap, smtp, http, tls, ssh, banner:/REGEX/, or { send, match } for UDP',
    help: 'Asks the service through the tunnel now and then whether it still answers so.',
    default: 'no probe',
    example: 'imap',
  }),
  map: field(
    fields({
      port: needed(port, { type: 'number', help: "The router's port to ask for.", example: '80' }),
      protocol: field(oneOf(...PROTOCOLS), {
        type: 'tcp or udp',
        help: 'What to map.',
        default: 'that of the forward',
        example: 'tcp',
      }),
    }),
    {
      type: 'port and protocol',
      help: 'Asks the router for this port, for this forward, by PCP, NAT-PMP or UPnP; needs a listener of this machine beyond loopback.',
      default: 'no mapping',
      example: '{ port: 80, protocol: tcp }',
    },
  ),
};

const to = needed(target, {
  type: 'target: HOST:PORT or unix:/PATH',
  help: 'Where connections lead; a name is resolved by the machine that dials it.',
  example: 'pop.example.org:113',
});
const proxyAuth = field(userName, {
  type: 'text',
  help: 'The user name that proxy clients must log in with; the password is kept as a secret.',
  default: 'no login',
  example: 'alice',
});

const proxyProbe = field(target, {
  type: 'target: HOST:PORT or unix:/PATH',
  help: 'Whom `expect` asks, as a client of the proxy would: a proxy has no target of its own.',
  default: 'nobody',
  example: 'intranet.example.org:80',
});

type Common = z.output<ReturnType<typeof fields<typeof common>>>;

/** The fields of the file under the names of the model. */
function shared({ idle, lifetime, name, open, clients, allow, gateway, access, expect, map }: Common) {
  return { name, open, clients, allow, gateway, access, expect, map, idleMs: idle, lifetimeMs: lifetime };
}

const bindField = (help: string, example: string) => needed(bind, { type: BIND_TYPE, help, example });

/** The rows of each kind of forward, by the field that names the kind. */
export const forwardFields = {
  local: fields({
    local: bindField(
      'Where we listen; `localhost` binds 127.0.0.1 and ::1, `auto` a free port, kept stable.',
      'localhost:113',
    ),
    to,
    ...common,
  }),
  remote: fields({
    remote: bindField('Where the SSH server listens; port 0 lets it choose, and we report it.', 'localhost:8080'),
    to,
    ...common,
  }),
  socks: fields({
    socks: bindField('Where SOCKS5, SOCKS4a and HTTP CONNECT are spoken, on one port.', 'localhost:1080'),
    auth: proxyAuth,
    expectAt: proxyProbe,
    ...common,
  }),
  'remote-socks': fields({
    'remote-socks': bindField('Where the SSH server listens for SOCKS and HTTP CONNECT; we dial.', 'localhost:1081'),
    auth: proxyAuth,
    expectAt: proxyProbe,
    ...common,
  }),
  trigger: fields({
    trigger: bindField('Where we listen for the use that opens the return ports.', 'localhost:5060'),
    to,
    opens: needed(
      z
        .array(
          fields({
            remote: bindField('Where the server listens while the trigger is in use.', '0.0.0.0:7078'),
            to: needed(clientTarget, {
              type: 'client:PORT',
              help: 'The port of the client that triggered.',
              example: 'client:7078',
            }),
            allow: field(z.array(network), {
              type: 'list of addresses or networks',
              help: 'The addresses that may call, as the server tells them; everybody else is closed at once.',
              default: 'everybody who can reach that port of the server',
              example: '[203.0.113.0/24]',
            }),
          }).transform(({ remote, to: clientPort, allow }) => ({ bind: remote, clientPort, allow })),
        )
        .min(1, 'opens nothing'),
      {
        type: 'list of return ports',
        help: 'The ports that use of the trigger opens on the server, leading back to that client alone.',
        example: '[ { remote: 0.0.0.0:7078, to: client:7078 } ]',
      },
    ),
    ...common,
  }),
  relay: fields({
    relay: bindField('Where we listen, without SSH.', '0.0.0.0:8080'),
    to: needed(z.union([target.transform((one) => [one]), z.array(target).min(1, 'lists no target')]), {
      type: 'target or list of them',
      help: 'Where connections lead, dialled from here.',
      example: '[192.168.0.10:80, 192.168.0.11:80]',
    }),
    protocol: field(oneOf(...PROTOCOLS), {
      type: 'tcp or udp',
      help: 'What is relayed.',
      default: 'tcp',
      example: 'tcp',
    }),
    choose: field(oneOf('failover', 'round-robin'), {
      type: 'failover or round-robin',
      help: 'How one of several healthy targets is chosen.',
      default: 'failover',
      example: 'failover',
    }),
    proxyProtocol: field(oneOf('v1', 'v2'), {
      type: 'v1 or v2',
      help: 'Tells the target who is really calling, by the PROXY protocol.',
      default: 'not said',
      example: 'v2',
    }),
    ...common,
  }),
};

/** The fields of which each forward in its full form has one. */
export const KINDS = Object.keys(forwardFields) as readonly (keyof typeof forwardFields)[];

/** The short form, and each full form, as a value of the model with its mistakes reported at their fields. */
const shortForm = z.string().transform((text, context): ForwardSpec => {
  const spec = parseLocalForward(text);
  if (spec === undefined) return reject(context, forwardMistake(text));
  return checked(spec, undefined, context);
});

export const forward = z.union([
  shortForm,
  forwardFields.local.transform((f, context) =>
    checked({ kind: 'local', bind: f.local, target: f.to, ...shared(f) }, 'local', context),
  ),
  forwardFields.remote.transform((f, context) =>
    checked({ kind: 'remote', bind: f.remote, target: f.to, ...shared(f) }, 'remote', context),
  ),
  forwardFields.socks.transform((f, context) =>
    checked({ kind: 'socks', bind: f.socks, auth: f.auth, expectAt: f.expectAt, ...shared(f) }, 'socks', context),
  ),
  forwardFields['remote-socks'].transform((f, context) =>
    checked(
      { kind: 'remote-socks', bind: f['remote-socks'], auth: f.auth, expectAt: f.expectAt, ...shared(f) },
      'remote-socks',
      context,
    ),
  ),
  forwardFields.trigger.transform((f, context) =>
    checked({ kind: 'trigger', bind: f.trigger, target: f.to, opens: f.opens, ...shared(f) }, 'trigger', context),
  ),
  forwardFields.relay.transform((f, context) => {
    const { protocol, choose, proxyProtocol } = f;
    const spec = {
      kind: 'relay',
      bind: f.relay,
      targets: f.to,
      protocol,
      choose,
      proxyProtocol,
      ...shared(f),
    } as const;
    return checked(spec, 'relay', context);
  }),
]);

function checked(spec: ForwardSpec, kind: string | undefined, context: z.core.$RefinementCtx): ForwardSpec {
  for (const { field: at, message } of forwardMistakes(spec)) {
    const path = kind === undefined ? [] : [at === 'bind' ? kind : at];
    context.addIssue({ code: 'custom', message, path });
  }
  return spec;
}
