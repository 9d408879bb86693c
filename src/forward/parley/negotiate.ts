import type { Clock } from '../../model/clock.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import { readProxy } from '../../socks/codec.ts';
import type { Credentials, Stage, Step } from '../../socks/step.ts';
import { deniedReply, grantedReply } from '../../socks/replies.ts';
import type { Parley } from './parley.ts';
import { CLIENT_GONE, type Negotiate } from '../reach/route.ts';

/** A program asks within milliseconds; a person who types into the port by hand has this long. */
export const NEGOTIATION_MS = 10_000;
/** A wrong password costs its client this long, so that guessing costs more than the port's limits allow. */
const WRONG_LOGIN_MS = 1_000;

export interface ProxyRules {
  readonly clock: Clock;
  /** Judges what a client says of itself; null asks nobody. */
  readonly login: ((credentials: Credentials) => Promise<boolean>) | null;
  /** Judges where a client wants to go; null lets it go anywhere. */
  readonly permits: ((target: Endpoint) => boolean) | null;
}

/**
 * Whether one of these allows the target: `HOST:PORT`, `*` for any of either. Names are compared as they are asked for,
 * and never looked up (ssh_config(5), PermitRemoteOpen).
 */
export function isPermitted(permit: readonly string[], target: Endpoint): boolean {
  if (target.kind !== 'tcp') return false;
  return permit.some((one) => {
    const at = one.lastIndexOf(':');
    const [host, port] = [one.slice(0, at).replace(/^\[(.*)\]$/, '$1'), one.slice(at + 1)];
    return (host === '*' || host === target.host) && (port === '*' || Number(port) === target.port);
  });
}

/** The client names its target itself, by SOCKS or HTTP CONNECT, and is told in its protocol what became of it. */
export function proxyTarget(rules: ProxyRules): Negotiate {
  return async (client, signal) => {
    const limit = new AbortController();
    const aborted = (): void => limit.abort(signal.reason);
    const cancel = rules.clock.after(NEGOTIATION_MS, () =>
      limit.abort(refused(`it did not say where to within ${NEGOTIATION_MS / 1_000} s`)),
    );
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
    try {
      const { target, protocol } = await converse(client, rules, limit.signal);
      if (rules.permits?.(target) === false) {
        const why = `it asked for ${formatEndpoint(target)}, which PermitRemoteOpen does not allow`;
        client.write(deniedReply(protocol, 'TARGET_PROHIBITED', why));
        throw refused(why);
      }
      return {
        target,
        opened: () => client.write(grantedReply(protocol)),
        failed: ({ code, message }) => client.write(deniedReply(protocol, code, message)),
      };
    } finally {
      cancel();
      signal.removeEventListener('abort', aborted);
    }
  };
}

type Connect = Extract<Step, { name: 'connect' }>;

async function converse(client: Parley, rules: ProxyRules, signal: AbortSignal): Promise<Connect> {
  let stage: Stage = 'start';
  let heard: Buffer = Buffer.alloc(0);
  for (;;) {
    const step = readProxy(stage, heard, rules.login !== null);
    switch (step.name) {
      case 'more':
        heard = Buffer.concat([heard, await more(client, heard, stage, signal)]);
        break;
      case 'answer':
        client.write(step.reply);
        ({ next: stage } = step);
        heard = heard.subarray(step.taken);
        break;
      case 'login':
        await logIn(step, client, rules, signal);
        ({ next: stage } = step);
        heard = heard.subarray(step.taken);
        break;
      case 'refuse':
        client.write(step.reply);
        throw refused(step.why);
      case 'connect':
        client.unread(heard.subarray(step.taken));
        return step;
    }
  }
}

async function more(client: Parley, heard: Buffer, stage: Stage, signal: AbortSignal): Promise<Buffer> {
  const chunk = await client.read(signal);
  if (chunk !== null) return chunk;
  throw heard.length === 0 && stage === 'start' ? CLIENT_GONE : refused('it ended before it had said where to');
}

async function logIn(
  step: Extract<Step, { name: 'login' }>,
  client: Parley,
  { clock, login }: ProxyRules,
  signal: AbortSignal,
): Promise<void> {
  const right = login === null || (await login(step.credentials));
  signal.throwIfAborted();
  if (right) return void client.write(step.accepted);
  await clock.sleep(WRONG_LOGIN_MS, signal);
  client.write(step.refused);
  throw refused('its user name or password is wrong');
}

function refused(why: string): TunnelError {
  return new TunnelError('CLIENT_REFUSED', `Cannot serve a proxy client: ${why}`);
}
