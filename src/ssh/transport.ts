import { Socket } from 'node:net';
import type { Client } from 'ssh2';
import type {
  Channel,
  OnIncoming,
  Originator,
  SessionOutcome,
  SessionRequest,
  SessionTransport,
  TransportFacts,
} from '../link/transport.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { TunnelError } from '../model/failure.ts';
import type { BulkParts } from './data/bulk-send.ts';
import { SshChannel } from './channel.ts';
import { acknowledge } from './compat/ignore-message.ts';
import { exchangesKeys, requestQueueOf } from './compat/protocol.ts';
import { rawOf, type RawChannel, type Ssh2Channel } from './compat/raw-channel.ts';
import { abortFailure, openFailure } from './failures.ts';
import type { DataPath } from './data-path.ts';
import type { HopConnection } from './hop.ts';
import type { PooledReads } from './data/pooled-reads.ts';
import { ProxyCommand } from './proxy-command.ts';
import { runSession, type AskServer } from './session.ts';
import { Lull } from './data/lull.ts';
import { PathRoundTrip } from './data/path-round-trip.ts';
import { Sharing } from './data/sharing.ts';
import { PromptAck } from './data/prompt-ack.ts';
import { Uplink } from './data/uplink.ts';
import { WindowGrowth, type Path } from './data/window-growth.ts';

/** How long a goodbye may take before the socket is simply closed. */
const GOODBYE_MS = 1_000;
/** What moves beside a ping and makes no queue worth the name: some packets, and no upload or download. */
const QUIET_BYTES = 32 * 1024;

export interface TransportParts {
  /** All hops in order, logged in; the last one carries the channels. */
  readonly hops: readonly HopConnection[];
  readonly last: HopConnection;
  readonly channelMs: number;
  /** Bytes read from the network. */
  readonly countReceived: () => number;
  readonly dataPath: DataPath;
  /** Lends its memory to the channels; undefined where each read has its own. */
  readonly reads: PooledReads | undefined;
}

/** A Transport over the last of a chain of ssh2 clients. Whatever ends one hop ends it all, once, with one reason. */
export class SshTransport implements SessionTransport {
  readonly facts: TransportFacts;
  readonly #parts: TransportParts;
  readonly #client: Client;
  readonly #uplink: Uplink;
  readonly #sentBytes: () => number;
  readonly #promptAck: PromptAck;
  readonly #bulk: BulkParts | undefined;
  readonly #path: Path;
  readonly #channels = new Set<SshChannel>();
  readonly #waiting = new Set<(reason: TunnelError) => void>();
  readonly #closedCallbacks: ((reason: TunnelError) => void)[] = [];
  /** Who takes connections that the server accepts, by the bind address in the server's words. */
  readonly #incoming = new Map<string, OnIncoming>();
  readonly #roundTrip = new PathRoundTrip();
  #ended: TunnelError | undefined;
  #closing: NodeJS.Timeout | undefined;

  constructor(parts: TransportParts) {
    this.#parts = parts;
    this.#client = parts.last.client;
    this.#uplink = uplinkOf(parts.hops);
    this.#sentBytes = sentBytesOf(parts.hops);
    this.#promptAck = new PromptAck(this.#sentBytes, () => acknowledge(parts.last.protocol));
    this.#bulk = this.#bulkParts();
    this.#path = {
      roundTripMs: () => this.#roundTrip.ms,
      receivedBytes: parts.countReceived,
      isShared: (nowMs) => this.#bulk?.sharing.at(nowMs) === true,
    };
    this.facts = factsOf(parts);
    this.#listen();
    for (const hop of parts.hops) hop.onEnded((reason) => this.#end(reason));
  }

  get receivedBytes(): number {
    return this.#parts.countReceived();
  }

  openDirect(target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel> {
    const openLight = this.#parts.last.prepared?.openLight;
    if (openLight !== undefined) {
      return this.#open<RawChannel>(target, signal, (done) => openLight(target, originator, done), asItIs);
    }
    return this.#open(target, signal, (done) => openChannel(this.#client, target, originator, done), rawOf);
  }

  async requestForward(bind: Endpoint, onChannel: OnIncoming, signal: AbortSignal): Promise<Endpoint> {
    const object = `Cannot listen on ${formatEndpoint(bind)} of ${this.#name}`;
    const late = (): TunnelError => new TunnelError('TIMED_OUT', `${object}: the server did not answer`);
    const port = await this.#request<number>(
      signal,
      late,
      (done) =>
        listen(this.#client, bind, (error, boundPort) => {
          // Here and not after the wait: a connection may stand in the same packet as the grant.
          if (error === undefined) this.#incoming.set(incomingKey(atPort(bind, boundPort)), onChannel);
          done(error, boundPort);
        }),
      (error) => new TunnelError('FORWARD_REFUSED', `${object}: the server refused`, { cause: error }),
      (boundPort) => {
        this.#incoming.delete(incomingKey(atPort(bind, boundPort)));
        unlisten(this.#client, atPort(bind, boundPort), () => undefined);
      },
    );
    return atPort(bind, port);
  }

  async cancelForward(bind: Endpoint, signal: AbortSignal): Promise<void> {
    const object = `Cannot stop listening on ${formatEndpoint(bind)} of ${this.#name}`;
    this.#incoming.delete(incomingKey(bind));
    await this.#request<undefined>(
      signal,
      () => new TunnelError('TIMED_OUT', `${object}: the server did not answer`),
      (done) => unlisten(this.#client, bind, (error) => done(error, undefined)),
      (error) => new TunnelError('FORWARD_REFUSED', `${object}: the server refused`, { cause: error }),
      () => undefined,
    );
  }

  runSession(request: SessionRequest, signal: AbortSignal): Promise<SessionOutcome> {
    const lost = (cause: Error): TunnelError =>
      new TunnelError('CONNECTION_LOST', `Connection to ${this.#name} lost`, { cause });
    const ask: AskServer = (late, send, undo) => this.#request(signal, late, send, lost, undo);
    return runSession(request, { client: this.#client, name: this.#name, ask, ping: () => this.ping() });
  }

  ping(): Promise<number> {
    const answer = this.#ping();
    this.#measureAfter(answer);
    return answer;
  }

  #ping(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      const sentMs = performance.now();
      const movedBytes = this.#movedBytes;
      this.#waiting.add(reject);
      // Any answer is an answer: sshd knows no such request and says REQUEST_FAILURE.
      requestQueueOf(this.#client).push(() => {
        this.#waiting.delete(reject);
        const nowMs = performance.now();
        const roundTripMs = nowMs - sentMs;
        this.#roundTrip.saw(roundTripMs, nowMs, this.#movedBytes - movedBytes < QUIET_BYTES);
        resolve(roundTripMs);
      });
      this.#parts.last.protocol.ping();
    });
  }

  close(): void {
    if (this.#ended !== undefined || this.#closing !== undefined) return;
    const reason = new TunnelError('STOPPED', `Connection to ${this.#name} closed`);
    this.#closing = setTimeout(() => this.destroy(reason), GOODBYE_MS);
    for (const hop of this.#parts.hops.toReversed()) hop.close(reason);
  }

  destroy(reason: TunnelError): void {
    this.#end(reason);
  }

  onClosed(callback: (reason: TunnelError) => void): void {
    if (this.#ended === undefined) this.#closedCallbacks.push(callback);
    else callback(this.#ended);
  }

  get #name(): string {
    return this.#parts.last.name;
  }

  /** @param raw makes of what was opened what a Channel can be made over */
  #open<T>(
    target: Endpoint,
    signal: AbortSignal,
    send: (done: (error: Error | undefined, opened: T) => void) => void,
    raw: (opened: T) => RawChannel,
  ): Promise<Channel> {
    const object = `Cannot reach ${formatEndpoint(target)} from ${this.#name}`;
    const late = (): TunnelError =>
      new TunnelError(
        'CHANNEL_TIMEOUT',
        `${object}: the server did not answer within ${this.#parts.channelMs / 1000} s`,
      );
    const refused = (error: Error): TunnelError => openFailure(target, this.#name, error);
    const sentMs = performance.now();
    return this.#request<T>(signal, late, send, refused, (opened) => discard(raw(opened))).then((opened) => {
      const nowMs = performance.now();
      this.#roundTrip.saw(nowMs - sentMs, nowMs, false); // the server's way to the target is in it
      const channel = this.#adopt(raw(opened));
      // What a client that speaks first has to say is on its way by then.
      setImmediate(() => this.#hear(channel));
      return channel;
    });
  }

  /** One question to the server, within the deadline, the signal and the life of the connection; a late answer is undone. */
  #request<T>(
    signal: AbortSignal,
    late: () => TunnelError,
    send: (done: (error: Error | undefined, answer: T) => void) => void,
    refused: (error: Error) => TunnelError,
    undo: (answer: T) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(abortFailure(signal));
      if (this.#ended !== undefined) return reject(this.#ended);
      let settled = false;
      const settle = (): boolean => {
        if (settled) return false;
        settled = true;
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        this.#waiting.delete(fail);
        return true;
      };
      const fail = (reason: TunnelError): void => {
        if (settle()) reject(reason);
      };
      const abort = (): void => fail(abortFailure(signal));
      const timer = setTimeout(() => fail(late()), this.#parts.channelMs);
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.add(fail);
      try {
        send((error, answer) => {
          if (error !== undefined) fail(refused(error));
          else if (settle()) resolve(answer);
          else undo(answer);
        });
      } catch (error) {
        // ssh2 throws "Not connected" between the loss and its news.
        fail(this.#ended ?? new TunnelError('CONNECTION_LOST', `Connection to ${this.#name} lost`, { cause: error }));
      }
    });
  }

  #bulkParts(): BulkParts | undefined {
    const { last, dataPath } = this.#parts;
    const adjusts = dataPath.levers.sharing ? last.prepared?.adjusts : undefined;
    return adjusts && { adjusts, sharing: new Sharing(), lull: new Lull(), roundTripMs: () => this.#roundTrip.ms };
  }

  #adopt(stream: RawChannel): SshChannel {
    const { levers, windows } = this.#parts.dataPath;
    const window = { growth: new WindowGrowth(windows), path: this.#path };
    const channel = new SshChannel(stream, {
      uplink: this.#uplink,
      reads: this.#parts.reads,
      window: levers.windows ? window : undefined,
      bulk: this.#bulk,
      onHeard: () => this.#promptAck.heard(),
      onGone: (gone) => void this.#channels.delete(gone),
    });
    if (this.#ended === undefined) this.#channels.add(channel);
    else channel.lost(this.#ended);
    return channel;
  }

  /** A server that greets (SMTP, POP3, SSH itself) has its greeting held back by sshd until the confirmation is acknowledged. */
  #hear(channel: SshChannel): void {
    if (channel.silent && this.#ended === undefined) acknowledge(this.#parts.last.protocol);
  }

  /** While uploads are held for somebody, each ping waits behind what is under way. With its answer that has gone, and the next one waits for nothing. */
  #measureAfter(answer: Promise<number>): void {
    const nowMs = performance.now();
    const bulk = this.#bulk;
    if (bulk === undefined || !bulk.sharing.at(nowMs) || !this.#roundTrip.stale(nowMs)) return;
    const over = (): void => bulk.lull.end();
    bulk.lull.begin();
    answer.then(() => this.#ping()).then(over, over);
  }

  /** Both ways, so far. */
  get #movedBytes(): number {
    return this.receivedBytes + this.#sentBytes();
  }

  #listen(): void {
    this.#client.on('tcp connection', ({ destIP, destPort, srcIP, srcPort }, accept, reject) => {
      const bind: Endpoint = { kind: 'tcp', host: destIP, port: destPort };
      this.#offer(bind, { address: srcIP, port: srcPort }, accept, reject);
    });
    this.#client.on('unix connection', ({ socketPath }, accept, reject) => {
      this.#offer({ kind: 'unix', path: socketPath }, { address: '', port: 0 }, accept, reject);
    });
  }

  #offer(bind: Endpoint, originator: Originator, accept: () => Ssh2Channel, reject: () => void): void {
    const onChannel = this.#incoming.get(incomingKey(bind));
    if (onChannel === undefined) return reject();
    onChannel({ originator, accept: () => this.#adopt(rawOf(accept())), refuse: () => reject() });
  }

  #end(reason: TunnelError): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    clearTimeout(this.#closing);
    this.#promptAck.close();
    for (const channel of [...this.#channels]) channel.lost(reason);
    for (const fail of [...this.#waiting]) fail(reason);
    this.#waiting.clear();
    for (const hop of this.#parts.hops.toReversed()) hop.destroy(reason);
    for (const callback of this.#closedCallbacks.splice(0)) callback(reason);
  }
}

function uplinkOf(hops: readonly HopConnection[]): Uplink {
  const protocols = hops.map((hop) => hop.protocol);
  const uplink = new Uplink(
    hops.map((hop) => hop.stream),
    () => protocols.some(exchangesKeys),
  );
  for (const { client } of hops) client.on('handshake', () => uplink.goOn());
  return uplink;
}

/** Of the connection that carries all others, or of the command that stands in for it. */
function sentBytesOf([first]: readonly HopConnection[]): () => number {
  const stream = first?.stream;
  return stream instanceof Socket || stream instanceof ProxyCommand ? () => stream.bytesWritten : () => 0;
}

/** Opens `direct-tcpip` (RFC 4254 section 7.2) or OpenSSH's counterpart for Unix sockets. @throws when not connected */
export function openChannel(
  client: Client,
  target: Endpoint,
  originator: Originator,
  done: (error: Error | undefined, channel: Ssh2Channel) => void,
): void {
  if (target.kind === 'unix') client.openssh_forwardOutStreamLocal(target.path, done);
  else client.forwardOut(originator.address, originator.port, target.host, target.port, done);
}

function asItIs(channel: RawChannel): RawChannel {
  return channel;
}

/** Nobody reads it any more. */
function discard(stream: RawChannel): void {
  stream.close();
  stream.resume();
}

function listen(client: Client, bind: Endpoint, done: (error: Error | undefined, port: number) => void): void {
  if (bind.kind === 'unix') client.openssh_forwardInStreamLocal(bind.path, (error) => done(error ?? undefined, 0));
  else client.forwardIn(serverHost(bind.host), bind.port, (error, port) => done(error ?? undefined, port));
}

function unlisten(client: Client, bind: Endpoint, done: (error: Error | undefined) => void): void {
  if (bind.kind === 'unix') client.openssh_unforwardInStreamLocal(bind.path, (error) => done(error ?? undefined));
  else client.unforwardIn(serverHost(bind.host), bind.port, (error) => done(error ?? undefined));
}

/** RFC 4254 section 7.1: an empty address means every address of every family. */
function serverHost(host: string): string {
  return host === '*' ? '' : host;
}

function atPort(bind: Endpoint, port: number): Endpoint {
  return bind.kind === 'unix' ? bind : { ...bind, port };
}

function incomingKey(bind: Endpoint): string {
  return bind.kind === 'unix' ? `unix:${bind.path}` : `${serverHost(bind.host)}:${bind.port}`;
}

function factsOf({ hops, last }: TransportParts): TransportFacts {
  const settled = last.settled;
  const mac = settled?.macs[0] ?? '';
  return {
    serverVersion: last.serverVersion,
    kex: settled?.kex ?? '',
    hostKey: settled?.hostKey ?? '',
    cipher: settled?.ciphers[0] ?? '',
    mac: mac === '' ? 'implicit' : mac,
    compression: last.compression,
    notes: last.notes,
    warnings: hops.flatMap(({ warnings }) => warnings),
  };
}
