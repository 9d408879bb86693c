import * as z from 'zod';
import type { AuthMethod, HostKeyPolicy } from '../model/plan.ts';
import { DEFAULTS, type HopSpec } from '../model/profile.ts';
import { parseHop } from '../model/hop-spec.ts';
import { field, fields, needed } from './rows.ts';
import { fingerprints, hostKeyText, hostName, line, oneOf, path, port, reject, userName } from './values.ts';

const METHODS = DEFAULTS.auth satisfies readonly AuthMethod[];
const FROM_SSH_CONFIG = 'what ssh_config says';

const algorithms = z.array(line.regex(/^[+\-^]?[A-Za-z0-9@._*-]+$/, 'is no algorithm name')).min(1, 'lists nothing');
const oneOrMorePaths = z.union([path.transform((one) => [one]), z.array(path)]);
const pinned = fields({
  fingerprint: needed(fingerprints, {
    type: 'fingerprint or list of them',
    help: 'The only host keys that are accepted, whatever known_hosts says.',
    example: 'SHA256:…',
  }),
}).transform((written): HostKeyPolicy => ({ kind: 'fingerprint', fingerprints: written.fingerprint }));

/** The rows of an entry of `via` in its full form. */
export const hopFields = fields({
  host: needed(hostName, {
    type: 'host name, address or ssh_config alias',
    help: 'The SSH server; it goes through ssh_config as `ssh HOST` would.',
    example: 'pop.example.org',
  }),
  port: field(port, {
    type: 'number',
    help: 'The port of the SSH server.',
    default: `${FROM_SSH_CONFIG}, else ${DEFAULTS.port}`,
    example: '22',
  }),
  user: field(userName, {
    type: 'text',
    help: 'The name to log in with.',
    default: `${FROM_SSH_CONFIG}, else your own`,
    example: 'alice',
  }),
  identity: field(oneOrMorePaths, {
    type: 'file path or list of them',
    help: "Private keys to log in with, in place of ssh_config's; a neighbouring -cert.pub is used too.",
    default: `${FROM_SSH_CONFIG}, else the usual files in ~/.ssh`,
    example: '[~/.ssh/id_mail]',
  }),
  agent: field(z.union([z.boolean(), path]), {
    type: 'true, false or socket path',
    help: 'Whether the SSH agent is asked for keys, and where it listens.',
    default: `${FROM_SSH_CONFIG}, else true`,
    example: 'true',
  }),
  auth: field(z.array(oneOf(...METHODS)).min(1, 'lists no method'), {
    type: `list of ${METHODS.join(', ')}`,
    help: 'The ways to log in, in the order to try.',
    default: `${FROM_SSH_CONFIG}, else [${METHODS.join(', ')}]`,
    example: '[publickey, password]',
  }),
  knownHosts: field(oneOrMorePaths, {
    type: 'file path or list of them',
    help: "Where host keys are known from, in place of the user's and the system's files.",
    default: `${FROM_SSH_CONFIG}, else ~/.ssh/known_hosts and the system's`,
    example: '~/.ssh/known_hosts',
  }),
  hostKey: field(z.union([hostKeyText, pinned]), {
    type: 'strict, accept-new or { fingerprint: SHA256:… }',
    help: 'What an unknown host key means: strict asks on a terminal and refuses elsewhere, accept-new records it; a changed key is refused always.',
    default: `${FROM_SSH_CONFIG}, else strict`,
    example: 'strict',
  }),
  proxyCommand: field(line, {
    type: 'command',
    help: "A command whose input and output are the connection, with ssh's %-tokens; `none` switches ssh_config's off.",
    default: FROM_SSH_CONFIG,
    example: 'nc %h %p',
  }),
  compression: field(z.boolean(), {
    type: 'true or false',
    help: 'Whether the connection is compressed.',
    default: `${FROM_SSH_CONFIG}, else false`,
    example: 'false',
  }),
  ciphers: field(algorithms, {
    type: 'list of algorithm names',
    help: "Ciphers by OpenSSH's names; a leading +, - or ^ on the first adds to, takes from or heads the default.",
    default: `${FROM_SSH_CONFIG}, else our own order`,
    example: '[aes128-gcm@openssh.com]',
  }),
  kex: field(algorithms, {
    type: 'list of algorithm names',
    help: 'Key exchange methods, as `ciphers`.',
    default: `${FROM_SSH_CONFIG}, else our own order`,
    example: '[curve25519-sha256]',
  }),
  macs: field(algorithms, {
    type: 'list of algorithm names',
    help: 'Message authentication codes, as `ciphers`.',
    default: `${FROM_SSH_CONFIG}, else our own order`,
    example: '[hmac-sha2-256-etm@openssh.com]',
  }),
  hostKeyAlgorithms: field(algorithms, {
    type: 'list of algorithm names',
    help: 'Host key algorithms, as `ciphers`.',
    default: `${FROM_SSH_CONFIG}, else our own order`,
    example: '[ssh-ed25519]',
  }),
  legacy: field(z.boolean(), {
    type: 'true or false',
    help: 'Whether algorithms that modern servers no longer need are offered too.',
    default: 'false',
    example: 'false',
  }),
});

const hopText = z.string().transform((text, context): HopSpec => {
  if (/^[^@]*:[^@]*@/.test(text.replace(/^ssh:\/\//, ''))) return reject(context, NO_PASSWORD);
  return (
    parseHop(text) ?? reject(context, 'is no SSH server: write user@host, user@host:port, or an alias from ssh_config')
  );
});
const NO_PASSWORD =
  'has a password or a wrong port before the @: a password never stands in a profile, store it with `tunnel secret set password USER@HOST`';

const hop = z.union([hopText, hopFields]);

/** One server, or a chain of them with the jump hosts first. */
export const via = z.union([
  hop.transform((only): HopSpec[] => [only]),
  z.array(hop).min(1, 'lists no server').max(16, 'lists more than 16 servers'),
]);
