import { isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Channel } from '../../link/transport.ts';
import { cleanLine } from '../../model/clean.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError, asTunnelError } from '../../model/failure.ts';
import type { Expectation } from '../../model/plan.ts';
import { abortReason } from '../abort-reason.ts';
import { ChannelStream } from './channel-stream.ts';
import { GREETING_BYTES, greetingOf, judge, type Greeting } from './greeting.ts';

/** What a service showed of itself. */
export type ProbeResult =
  /** `said`: the line that showed it or the TLS version, made safe to show; '' where it need not say anything. */
  { readonly health: 'ok'; readonly said: string } | { readonly health: 'failing'; readonly error: TunnelError };

/**
 * Asks a service to show that it is the one expected. Resolves in either case: failing with what `open` rejected with,
 * with SERVICE_UNHEALTHY, or with the signal's reason. A recognised service is left politely: what remains of that
 * ends with the signal, so let it be one that fires.
 * @param open makes a channel to the service, which the probe closes
 * @param target where it is: for messages, and its name for TLS (SNI) and HTTP (Host)
 */
export async function probeService(
  open: (signal: AbortSignal) => Promise<Channel>,
  expectation: Expectation,
  signal: AbortSignal,
  target: Endpoint,
): Promise<ProbeResult> {
  const probed = { expectation, target };
  try {
    const greeting = greetingOf(expectation, hostOf(target));
    const channel = await open(signal);
    if (greeting !== undefined) return { health: 'ok', said: await greet(channel, greeting, probed, signal) };
    if (expectation.kind === 'tls') return { health: 'ok', said: await shakeHands(channel, probed, signal) };
    leave(channel, signal);
    return { health: 'ok', said: '' };
  } catch (error) {
    return { health: 'failing', error: asTunnelError(error) };
  }
}

/** Reads until the greeting is judged. @returns the line that shows it */
function greet(channel: Channel, greeting: Greeting, probed: Probed, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    let settled = false;
    const fail = (error: Error): void => {
      settled = true;
      channel.abort();
      reject(error);
    };
    const look = (atEnd: boolean): void => {
      if (settled) return;
      const verdict = judge(greeting, said, atEnd);
      if (verdict === 'more') return;
      if (verdict === 'wrong') return fail(unhealthy(probed, said));
      settled = true;
      resolve(firstLine(said.slice(said.search(greeting.expected))));
      if (greeting.farewell !== '') channel.write(Buffer.from(greeting.farewell));
      channel.end();
    };
    const aborted = (): void => (settled ? channel.abort() : fail(abortReason(signal)));
    channel.attach({
      data: (chunk) => {
        if (!settled) said += chunk.toString('latin1').slice(0, GREETING_BYTES - said.length);
        look(false);
      },
      end: () => look(true),
      drain: () => undefined,
      closed: (error) => {
        signal.removeEventListener('abort', aborted);
        if (error !== undefined && !settled) fail(error);
        look(true);
      },
    });
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    if (greeting.opening.length > 0) channel.write(greeting.opening);
  });
}

function shakeHands(channel: Channel, probed: Probed, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = new ChannelStream(channel);
    const host = hostOf(probed.target);
    const name = isIP(host) === 0 ? { servername: host } : {};
    // Whether the certificate is right is for the person's own client to say: nothing is sent here, nothing believed.
    const tls = connectTls({ socket: stream, rejectUnauthorized: false, ...name });
    const aborted = (): void => {
      reject(abortReason(signal));
      tls.destroy();
      stream.destroy();
    };
    tls.on('error', (error: Error) => {
      reject(error instanceof TunnelError ? error : unhealthy(probed, error.message, error));
      stream.destroy();
    });
    tls.once('secureConnect', () => {
      resolve(tls.getProtocol() ?? '');
      tls.resume();
      tls.end();
    });
    stream.on('error', (error) => reject(error));
    stream.once('close', () => {
      signal.removeEventListener('abort', aborted);
      reject(unhealthy(probed, '')); // without effect once it is settled
    });
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
  });
}

/** Ends a channel that has nothing to say, and does not listen any more. */
function leave(channel: Channel, signal: AbortSignal): void {
  const aborted = (): void => channel.abort();
  channel.attach({
    data: () => undefined,
    end: () => undefined,
    drain: () => undefined,
    closed: () => signal.removeEventListener('abort', aborted),
  });
  signal.addEventListener('abort', aborted, { once: true });
  channel.end();
}

/** TIMED_OUT, for the signal of a probe whose time is over. */
export function silentService(expectation: Expectation, target: Endpoint, timeoutMs: number): TunnelError {
  return new TunnelError('TIMED_OUT', `${unseen({ expectation, target })}: silent for ${timeoutMs / 1_000} s`);
}

/** What was looked for, and where. */
interface Probed {
  readonly expectation: Expectation;
  readonly target: Endpoint;
}

function unhealthy(probed: Probed, said: string, cause?: unknown): TunnelError {
  const line = firstLine(said);
  const instead = line === '' ? 'it closed the connection without a word' : `it said "${line}"`;
  return new TunnelError('SERVICE_UNHEALTHY', `${unseen(probed)}: ${instead}`, { cause });
}

/** `Cannot see pop3 at pop.example.org:110`. */
function unseen({ expectation: { kind }, target }: Probed): string {
  const sought = kind === 'datagram' ? 'the expected answer' : kind === 'banner' ? 'the expected banner' : kind;
  return `Cannot see ${sought} at ${formatEndpoint(target)}`;
}

function hostOf(target: Endpoint): string {
  return target.kind === 'tcp' ? target.host : 'localhost';
}

function firstLine(said: string): string {
  return cleanLine(said.trimStart().split('\n', 1)[0] ?? '', 200);
}
