import { isIP } from 'node:net';
import * as z from 'zod';
import { DURATION_PATTERN, parseDuration } from '../model/duration.ts';
import { isHostName, parseEndpoint, type Endpoint } from '../model/endpoint.ts';
import { parseClientPort, parseTarget } from '../model/forward-spec.ts';
import { didYouMean } from '../model/nearest.ts';
import type { Expectation, HostKeyPolicy, SecretSource } from '../model/plan.ts';

/** Text of one line without control characters. */
export const line = z
  .string()
  .min(1, 'is empty')
  .max(4096, 'is longer than 4096 characters')
  .regex(/^[^\0-\x1f\x7f]*$/, 'has control characters in it: write it in one line of plain text');

/** Text of several lines, shown to people. */
export const prose = z
  .string()
  .max(4096, 'is longer than 4096 characters')
  .regex(/^[^\0-\x08\x0b-\x1f\x7f]*$/, 'has control characters in it');

/** A file's path: absolute, `~/…`, or relative to the profile's folder. */
export const path = line;

/** A name that ssh_config and DNS may be asked for. */
export const hostName = line.refine(isHostName, 'is no host name or address');

/** A user name that is no option and holds no sign of the shell (OpenSSH refuses the same in ssh.c, valid_ruser). */
export const userName = line.regex(
  /^(?!-)[^\s'"`$\\;&<>|(){}]+$/,
  'is no user name: spaces, a leading - and \'"`$\\;&<>|(){} are refused, as by ssh',
);

export const port = z
  .number()
  .int('is no whole number')
  .min(1, 'a port is 1 to 65535')
  .max(65_535, 'a port is 1 to 65535');

/** A whole number within bounds that a person might want. */
export function count(least: number, most: number): z.ZodNumber {
  const bounds = `must be ${least} to ${most}`;
  return z.number().int('is no whole number').min(least, bounds).max(most, bounds);
}

const NO_DURATION = 'is no duration: write a number and a unit, such as 500ms, 15s, 10m or 2h (at most 24d)';

/** A duration in milliseconds. A bare number is refused with the unit that it lacks. */
export const duration = z
  .string({ error: (issue) => (typeof issue.input === 'number' ? `needs a unit, such as ${issue.input}s` : undefined) })
  .regex(DURATION_PATTERN, { error: NO_DURATION, abort: true })
  .transform((text, context): number => parseDuration(text) ?? reject(context, NO_DURATION));

/** A duration or one word for "no end", which reads as null. */
export function durationOr(
  word: 'never' | 'none',
): z.ZodPipe<typeof durationText, z.ZodTransform<number | null, string>> {
  const message = `is no duration: write 15s, 10m, 2h and the like, or ${word}`;
  return durationText.transform((text, context): number | null =>
    text === word ? null : (parseDuration(text) ?? reject(context, message)),
  );
}
const durationText = z.string({
  error: (issue) => (typeof issue.input === 'number' ? `needs a unit, such as ${issue.input}s` : undefined),
});

/** One word of a few; the nearest is offered. */
export function oneOf<const T extends readonly [string, ...string[]]>(
  ...words: T
): z.ZodEnum<z.util.ToEnum<T[number]>> {
  return z.enum(words, { error: (issue) => notOneOf(issue.input, words) });
}

function notOneOf(input: unknown, words: readonly string[]): string | undefined {
  if (typeof input !== 'string') return undefined;
  return `is none of ${words.join(', ')}${didYouMean(input, words)}`;
}

/** Where something of ours or of the server listens: `localhost:1143`, `1143`, `auto`, `*:8080`, `unix:/run/x.sock`. */
export const bind = z
  .union([z.string(), count(0, 65_535)])
  .transform(
    (written, context): Endpoint =>
      parseEndpoint(String(written)) ??
      reject(context, 'is no bind address: write PORT, HOST:PORT, [IPv6]:PORT, auto, or unix:/PATH'),
  );

/** Where a forward leads. */
export const target = z
  .string()
  .transform(
    (written, context): Endpoint =>
      parseTarget(written) ??
      reject(context, 'is no target: write HOST:PORT, [IPv6]:PORT or unix:/PATH, with a port of 1 to 65535'),
  );

/** `client:PORT`: the client that triggered. */
export const clientTarget = z
  .string()
  .transform((written, context): number => parseClientPort(written) ?? reject(context, 'must be client:PORT'));

/** An address or network in CIDR form; a single address becomes a network of one. */
export const network = z
  .string()
  .transform((text, context): string => toCidr(text) ?? reject(context, 'is no address or network such as 10.0.0.0/8'));

function toCidr(text: string): string | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const bits = { 0: undefined, 4: 32, 6: 128 }[isIP(address)];
  if (bits === undefined || rest.length > 0) return undefined;
  if (length === undefined) return `${address}/${bits}`;
  return /^\d{1,3}$/.test(length) && Number(length) <= bits ? `${address}/${Number(length)}` : undefined;
}

const PROBES = ['tcp', 'pop3', 'imap', 'smtp', 'http', 'tls', 'ssh'] as const;

/** What a service must say to count as healthy. */
export const expectation = z.string().transform((text, context): Expectation => {
  const kind = PROBES.find((probe) => probe === text);
  if (kind !== undefined) return { kind };
  const pattern = /^banner:\/(.+)\/$/s.exec(text)?.[1];
  if (pattern === undefined) {
    return reject(context, `is none of ${PROBES.join(', ')}, banner:/REGEX/${didYouMean(text, PROBES)}`);
  }
  return compiles(pattern) ? { kind: 'banner', pattern } : reject(context, NO_PATTERN);
});
const NO_PATTERN = 'has a regular expression that cannot be read';

/** A regular expression between slashes. */
export const pattern = z.string().transform((text, context): string => {
  const within = /^\/(.+)\/$/s.exec(text)?.[1];
  if (within === undefined) return reject(context, 'must be a regular expression between slashes, such as /pong/');
  return compiles(within) ? within : reject(context, NO_PATTERN);
});

/** What fits into a datagram on every network (RFC 8085 section 3.2), its characters being bytes. */
export const datagram = z
  .string()
  .min(1, 'is empty')
  .max(1_200, 'is longer than 1200 bytes')
  .regex(/^[\0-\xff]*$/, 'has a character that is no byte: write "\\xNN" in double quotes');

function compiles(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

const FINGERPRINT = /^(?:fingerprint:\s*)?(SHA256:[A-Za-z0-9+/]{43})=?$/;
const NO_POLICY = 'must be strict, accept-new, or fingerprint: SHA256:… (43 characters, as ssh-keygen -l prints it)';

const fingerprint = z
  .string()
  .transform((text, context): string => FINGERPRINT.exec(text)?.[1] ?? reject(context, NO_POLICY));

/** A pinned fingerprint is written as a field of its own or as one text. */
export const hostKeyText = z.string().transform((text, context): HostKeyPolicy => {
  if (text === 'strict' || text === 'accept-new') return { kind: text };
  const pinned = FINGERPRINT.exec(text)?.[1];
  if (pinned !== undefined) return { kind: 'fingerprint', fingerprints: [pinned] };
  return reject(context, `${NO_POLICY}${didYouMean(text, ['strict', 'accept-new'])}`);
});
export const fingerprints = z.union([
  fingerprint.transform((one) => [one]),
  z.array(fingerprint).min(1, 'lists no fingerprint'),
]);

/** The value is never part of the message: somebody may have written the secret itself here. */
export const secretWord = z.string().transform((text, context): SecretSource => {
  if (text === 'keychain' || text === 'vault' || text === 'prompt') return { kind: text };
  return reject(
    context,
    'must be keychain, vault, prompt, command: […] or file: PATH; a secret itself never stands in a profile',
  );
});

/** Records why a value cannot be read; what it returns is never seen. */
export function reject(context: z.core.$RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}
