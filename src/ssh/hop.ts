import type { Duplex } from 'node:stream';
import ssh2, { type Client, type NegotiatedAlgorithms } from 'ssh2';
import { certifiedKey } from '../known-hosts/certificate.ts';
import { clean } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { asSsh2Algorithms, chooseAlgorithms, legacyAmong, unsafeWithoutStrict, type Unsafe } from './algorithms.ts';
import { limitAnswers } from './compat/answer-limit.ts';
import { silenceWhenDead } from './compat/dead-protocol.ts';
import { extendKeyExchange, type ExtendedExchange, type Settled } from './compat/key-exchange.ts';
import { hearFarewell } from './compat/farewell.ts';
import { gatherIdentification } from './compat/identification.ts';
import type { MlKem } from './compat/ml-kem.ts';
import { sendOfferedKeys } from './compat/identity-login.ts';
import { acknowledge } from './compat/ignore-message.ts';
import { isStrict, protocolOf, type Protocol } from './compat/protocol.ts';
import { watchLogin } from './compat/true-answers.ts';
import type { DataPath, Prepared } from './data-path.ts';
import type { Deadline } from './deadline.ts';
import { abortFailure, connectionFailure, type EndFacts } from './failures.ts';
import type { HopContext } from './hop-context.ts';
import type { HostKeyCheck } from './host-key.ts';
import { Login } from './login/login.ts';
import { MessageScreen, ProtocolBreach, type Stage } from './message-screen.ts';

/** What a hop needs besides its context to say hello and log in. */
export interface HopStart {
  readonly stream: Duplex;
  readonly hostKey: HostKeyCheck;
  readonly dataPath: DataPath;
  /** An Error says why there is no post-quantum key exchange. */
  readonly mlKem: MlKem | Error;
  /** What this server must not be offered, as an earlier connection found. */
  readonly unsafe: readonly Unsafe[];
  /** Ends when the key exchange is done. */
  readonly connectDeadline: Deadline;
  /** Told once the server has said who it is. */
  readonly identified: () => void;
  /** Makes the deadline of the login, which begins then. */
  readonly startLogin: () => Deadline;
  /** Ends this hop with a reason; aborts the context's signal. */
  readonly giveUp: AbortController;
}

/** Our identification: no library's name, which would tell attackers which faults to try (RFC 4253 section 4.2). */
const IDENT = 'tunnel';
/** A connection that was ended before anything was sent under algorithms that are unsafe with this server. */
export class UnsafeChoice extends Error {
  readonly unsafe: Unsafe;

  constructor(unsafe: Unsafe) {
    super(`The server lacks strict key exchange and chose ${unsafe}`);
    this.unsafe = unsafe;
  }
}

const MOST_BANNERS = 5;
const PREAMBLE_BYTES = 256;

/**
 * One SSH connection to one hop, from the first byte to the last. `open` resolves once it is logged in; whatever ends
 * it, before or after, is told once to `onEnded`, and leaves the stream destroyed.
 */
export class HopConnection {
  readonly name: string;
  readonly client: Client;
  readonly stream: Duplex;
  readonly notes: string[] = [];
  /** What must not be overlooked. */
  readonly warnings: string[] = [];
  readonly #context: HopContext;
  readonly #start: HopStart;
  readonly #watchers = new Set<(reason: TunnelError) => void>();
  #phase: EndFacts['phase'] = 'banner';
  #preamble = '';
  #banners = 0;
  #exchanges: ExtendedExchange | undefined;
  #settled: Settled | undefined;
  #compression = '';
  #prepared: Prepared | undefined;
  #reason: TunnelError | undefined;
  #ended = false;
  readonly #screen = new MessageScreen();
  #login: Login | undefined;
  #loginDeadline: Deadline | undefined;

  private constructor(context: HopContext, start: HopStart) {
    this.#context = context;
    this.#start = start;
    this.name = context.name;
    this.stream = start.stream;
    this.client = new ssh2.Client();
  }

  /** Rejects with a TunnelError, and then has destroyed the stream. */
  static open(context: HopContext, start: HopStart): Promise<HopConnection> {
    const hop = new HopConnection(context, start);
    return new Promise((resolve, reject) => {
      hop.onEnded(reject);
      hop.client.once('ready', () => {
        if (hop.#becomeReady()) resolve(hop);
      });
      const { signal } = context;
      const abort = (): void => hop.destroy(abortFailure(signal));
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      else hop.#connect();
    });
  }

  /** Private parts of ssh2 that the transport needs: ping, rekey. */
  get protocol(): Protocol {
    return protocolOf(this.client);
  }

  /** What its channels are made with; undefined before it was connected. */
  get prepared(): Prepared | undefined {
    return this.#prepared;
  }

  /** What the first key exchange settled; undefined before it. */
  get settled(): Settled | undefined {
    return this.#settled;
  }

  /** From us to the server. */
  get compression(): string {
    return this.#compression;
  }

  /** The server's identification, cleaned. */
  get serverVersion(): string {
    return clean(
      this.#preamble
        .split(/\r?\n/)
        .find((line) => line.startsWith('SSH-'))
        ?.replace(/^SSH-[\d.]+-/, '') ?? '',
      200,
    );
  }

  /** Called once, at once where it has ended already. */
  onEnded(callback: (reason: TunnelError) => void): void {
    if (this.#ended && this.#reason !== undefined) callback(this.#reason);
    else this.#watchers.add(callback);
  }

  /** Says goodbye; the end comes when the other side has closed, or at `destroy`. */
  close(reason: TunnelError): void {
    this.#reason ??= reason;
    this.client.end();
  }

  /** Safe to call twice. */
  destroy(reason: TunnelError): void {
    this.#reason ??= reason;
    this.#end(undefined);
  }

  #connect(): void {
    const { hop } = this.#context;
    try {
      const { hostKey, mlKem, unsafe } = this.#start;
      const certificates = hostKey.expectsCertificate;
      const pq = mlKem instanceof Error ? undefined : mlKem;
      const facts = { knownTypes: hostKey.knownTypes, certificates, mlKem: pq !== undefined, unsafe };
      const choice = chooseAlgorithms(hop, facts);
      this.notes.push(...choice.notes);
      if (mlKem instanceof Error) this.notes.push(`no post-quantum key exchange here: ${clean(mlKem.message, 100)}`);
      this.#listen();
      this.client.connect({
        sock: this.stream,
        username: hop.user,
        ident: IDENT,
        algorithms: asSsh2Algorithms(choice.offer),
        readyTimeout: 0, // ours pause while a person is asked
        keepaliveInterval: 0, // ssh2's own keepalive calls a slow path dead
        strictVendor: false,
        hostVerifier: (key: Buffer, answer: (trusted: boolean) => void) => this.#verify(key, answer),
        authHandler: (_methods, _partial, next) => this.#nextAttempt(next),
      });
      const protocol = this.protocol;
      this.#prepared = this.#start.dataPath.prepare(this.client, protocol, this.stream);
      this.notes.push(...this.#prepared.notes);
      silenceWhenDead(protocol);
      sendOfferedKeys(protocol);
      hearFarewell(protocol, (farewell) => this.#end(farewell));
      gatherIdentification(protocol);
      limitAnswers(protocol, this.stream);
      const onSettled = (settled: Settled): void => this.#judge(settled);
      const screen = (payload: Buffer): Buffer => this.#screen.read(payload, this.#stage);
      this.#exchanges = extendKeyExchange(protocol, {
        offer: choice.offer,
        mlKem: pq,
        certifiedKey,
        screen,
        onSettled,
      });
      if (this.#exchanges === undefined) this.notes.push('ssh2 is not as expected: no ML-KEM, no host certificates');
      const server = { truth: watchLogin(protocol), version: () => this.serverVersion };
      this.#login = new Login(this.#context, server, (error) => this.destroy(error));
      this.#readPreamble();
    } catch (error) {
      this.destroy(error instanceof TunnelError ? error : this.#fault(error));
    }
  }

  #listen(): void {
    const { client } = this;
    client.on('error', (error) => {
      if (error.level === 'agent') return; // one key could not sign; the login goes on
      this.#end(error);
    });
    client.on('end', () => this.#end(undefined));
    client.on('close', () => this.#end(undefined));
    client.on('banner', (text) => this.#showBanner(text));
    client.on('handshake', (negotiated) => this.#exchanged(negotiated));
    client.on('hostkeys', (keys) => {
      acknowledge(this.protocol); // their proof comes while the first connections are opened, whose answers would wait for it
      void this.#start.hostKey.learn(keys.map((key) => key.getPublicSSH()));
    });
    client.on('change password', () => {
      this.destroy(
        new TunnelError('LOGIN_REFUSED', `Cannot log in to ${this.name}: the server asks for a new password`, {
          hint: 'Log in once with ssh and change it there.',
        }),
      );
    });
    this.stream.on('error', () => undefined); // ssh2 reports it; this one stays when ssh2 has gone
  }

  /** Keeps the first bytes, which say what answers there. ssh2 has paused the stream, so listening starts no flow. */
  #readPreamble(): void {
    const read = (chunk: Buffer): void => {
      this.#preamble += chunk.toString('latin1', 0, PREAMBLE_BYTES - this.#preamble.length);
      if (this.#phase === 'banner' && /^SSH-[^\n]*\n/m.test(this.#preamble)) this.#identified();
      if (this.#phase !== 'banner' || this.#preamble.length >= PREAMBLE_BYTES) this.stream.removeListener('data', read);
    };
    this.stream.prependListener('data', read);
  }

  #identified(): void {
    this.#phase = 'key exchange';
    this.#start.identified();
  }

  /** Nothing that goes wrong in here may pass for a yes, or escape: ssh2 calls from inside its parser, we answer later. */
  #verify(key: Buffer, answer: (trusted: boolean) => void): void {
    const answerSafely = (trusted: boolean): void => {
      try {
        answer(trusted);
      } catch (error) {
        this.destroy(this.#fault(error));
      }
    };
    try {
      this.#start.hostKey.verify(key, this.#exchanges?.certificate, answerSafely, (why) => (this.#reason ??= why));
    } catch (error) {
      this.#reason ??= this.#fault(error);
      answerSafely(false);
    }
  }

  /** Before the host shows its key, in each exchange: the first decides, since later ones have the same offers. */
  #judge(settled: Settled): void {
    if (this.#settled !== undefined || this.#ended) return;
    this.#settled = settled;
    const unsafe = unsafeWithoutStrict(settled);
    if (unsafe === undefined) return;
    const message = `Cannot connect to ${this.name}: the server lacks strict key exchange (CVE-2023-48795)`;
    this.destroy(new TunnelError('HANDSHAKE_FAILED', message, { cause: new UnsafeChoice(unsafe) }));
  }

  #exchanged(negotiated: NegotiatedAlgorithms): void {
    if (this.#phase === 'login' || this.#phase === 'up' || this.#ended) return; // a rekey
    this.#judge(settledOf(negotiated, isStrict(this.protocol))); // where nobody saw it earlier
    const settled = this.#settled;
    if (settled === undefined || this.#isOver()) return;
    this.#compression = negotiated.cs.compress;
    this.#phase = 'login';
    this.#start.connectDeadline.stop();
    this.#loginDeadline = this.#start.startLogin();
    this.#remark(settled);
    void this.#start.hostKey.remember(); // in this turn, after the phase; it tells its own failure
  }

  #isOver(): boolean {
    return this.#ended;
  }

  #remark(settled: Settled): void {
    if (!settled.strict) {
      this.notes.push(
        'the server lacks strict key exchange (CVE-2023-48795): chacha20 and CBC with encrypt-then-MAC are not used with it',
      );
    }
    const old = legacyAmong(settled);
    if (old.length === 0) return;
    const remark = `${this.name} uses old algorithms, which its profile allows by \`legacy: true\`: ${old.join(', ')}`;
    this.warnings.push(remark);
    this.#context.onNote(remark);
  }

  #nextAttempt(next: (attempt: Awaited<ReturnType<Login['next']>>) => void): void {
    const login = this.#login;
    if (login === undefined || this.#ended || this.#phase !== 'login') return;
    login
      .next()
      .then((attempt) => {
        if (!this.#ended) next(attempt);
      })
      .catch((error: unknown) => {
        const reason = error instanceof TunnelError ? error : this.#fault(error);
        this.close(reason); // a login that is given up says goodbye, as ssh does
        this.destroy(reason);
      });
  }

  /** @returns false where there was nothing to log in to yet: the screen stops such a server earlier, and this one in any case */
  #becomeReady(): boolean {
    if (this.#phase !== 'login') {
      const message = `Cannot connect to ${this.name}: it claimed a login before its host key was accepted`;
      this.destroy(new TunnelError('HANDSHAKE_FAILED', message));
      return false;
    }
    this.#phase = 'up';
    this.#loginDeadline?.stop();
    this.#login?.succeeded();
    return true;
  }

  get #stage(): Stage {
    return this.#phase === 'login' || this.#phase === 'up' ? this.#phase : 'before trust';
  }

  #showBanner(text: string): void {
    if (++this.#banners > MOST_BANNERS) return;
    const lines = clean(text.replace(/\r\n/g, '\n').trimEnd()).split('\n');
    this.#context.onNote(lines.map((line) => `${this.name} says: ${line}`).join('\n'));
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#start.connectDeadline.stop();
    this.#loginDeadline?.stop();
    const reason = (this.#reason ??= this.#explain(error));
    this.stream.destroy();
    this.#start.giveUp.abort(reason); // withdraws the questions that are open
    for (const callback of this.#watchers) callback(reason);
    this.#watchers.clear();
  }

  #explain(error: unknown): TunnelError {
    const facts = { name: this.name, phase: this.#phase, preamble: this.#preamble.trim() };
    const failure = connectionFailure(error, facts);
    if (failure.code === 'LOGIN_REFUSED' && this.#login !== undefined) {
      return this.#login.refused(failure.message.slice(failure.message.indexOf(': ') + 2));
    }
    if (!this.#context.asking || !failure.retryable) return failure;
    // Dialling again would only ask again, and each login that a server gives up on earns a penalty (sshd 9.8).
    const message =
      error instanceof ProtocolBreach
        ? failure.message
        : `Cannot log in to ${this.name}: the server did not wait for the answer to a question`;
    const needsPerson = new TunnelError('NEEDS_PERSON', message, { cause: failure });
    return this.#login?.told(needsPerson) ?? needsPerson;
  }

  #fault(error: unknown): TunnelError {
    return new TunnelError('INTERNAL', `Cannot connect to ${this.name}`, { cause: error });
  }
}

/** As ssh2 reports it: without the names that only `extendKeyExchange` knows. */
function settledOf({ kex, serverHostKey, cs, sc }: NegotiatedAlgorithms, strict: boolean): Settled {
  return { kex, hostKey: serverHostKey, ciphers: [cs.cipher, sc.cipher], macs: [cs.mac, sc.mac], strict };
}
