import { judgeCertificate, namesAuthority } from '../known-hosts/certificate-verdict.ts';
import { isWildcard, knownHostName } from '../known-hosts/match.ts';
import { keyTypeOf, type KnownHost, type KnownHosts } from '../known-hosts/parse.ts';
import { fingerprint, judgeHostKey, keyTypeTitle, knownKeyTypes, type Verdict } from '../known-hosts/verdict.ts';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import type { HopPlan } from '../model/plan.ts';
import { caSignatures } from './algorithms.ts';
import type { HopContext } from './hop-context.ts';
import { isRevokedBy } from './revoked-keys.ts';

/** Where host keys are kept; `files/known-hosts.ts` in the program. */
export interface HostKeyStore {
  /** Rejects where a file that exists cannot be read: that must never pass for "unknown". */
  read(files: readonly string[]): Promise<KnownHosts>;
  append(file: string, name: string, key: Buffer, hashed: boolean): Promise<void>;
  /** Told of a key that a certificate of this authority made trusted: it is not recorded. */
  vouched?(name: string, key: Buffer, authority: KnownHost): void;
}

/**
 * Decides about the key that one hop shows, once, and holds every later key exchange of the connection to the same
 * key. Only an explicit yes is a yes: whatever goes wrong refuses.
 */
export class HostKeyCheck {
  readonly #context: HopContext;
  readonly #store: HostKeyStore;
  readonly #known: KnownHosts;
  readonly #name: string;
  readonly #fallbackName: string;
  #trusted: Buffer | undefined;
  /** The line that knew the host; only such a host may add keys of its own. */
  #knownBy: KnownHost | undefined;
  #toRecord: Buffer | undefined;
  /** Why the certificate that came with the key did not do. */
  #uselessCertificate: string | undefined;

  private constructor(context: HopContext, store: HostKeyStore, known: KnownHosts) {
    this.#context = context;
    this.#store = store;
    this.#known = known;
    ({ name: this.#name, fallbackName: this.#fallbackName } = hostKeyNames(context.hop));
  }

  /** Reads the known hosts. Rejects with FILE where one of the files cannot be read. */
  static async open(context: HopContext, store: HostKeyStore): Promise<HostKeyCheck> {
    return new HostKeyCheck(context, store, await store.read(context.hop.knownHosts));
  }

  /** Key types to ask the server for first. */
  get knownTypes(): readonly string[] {
    return knownKeyTypes(this.#known.entries, this.#name, this.#fallbackName);
  }

  /** Whether a certificate would be worth something: then it is asked for first. */
  get expectsCertificate(): boolean {
    const { hostKey } = this.#context.hop;
    return hostKey.kind !== 'fingerprint' && namesAuthority(this.#known.entries, this.#name, this.#fallbackName);
  }

  /**
   * ssh2's `hostVerifier`. Asynchronous for the first key exchange only: ssh2 1.17.0 releases its send queue under the
   * old cipher while a later answer is awaited, which kills the connection.
   * @param key the plain one, also where it came in a certificate
   * @param answer told exactly true or false, once
   * @param refused told why, before a false
   */
  verify(
    key: Buffer,
    certificate: Buffer | undefined,
    answer: (trusted: boolean) => void,
    refused: (why: TunnelError) => void,
  ): void {
    const shown = Buffer.from(key); // ssh2 hands out a slice of what it read
    if (this.#trusted !== undefined) {
      const same = this.#trusted.equals(shown);
      if (!same) refused(this.#changed(fingerprint(this.#trusted), 'this connection began with', shown));
      answer(same);
      return;
    }
    this.#judge(shown, certificate).then(
      () => {
        this.#trusted = shown;
        if (!this.#context.signal.aborted) answer(true);
      },
      (error: unknown) => {
        refused(error instanceof TunnelError ? error : this.#broken(error));
        if (!this.#context.signal.aborted) answer(false);
      },
    );
  }

  /** Records a new key that was accepted. Only after the key exchange: until then the server has not proved that it owns the key. */
  async remember(): Promise<void> {
    const key = this.#toRecord;
    const [file] = this.#context.hop.knownHosts;
    this.#toRecord = undefined;
    if (key === undefined || file === undefined) return;
    try {
      await this.#store.append(file, this.#name, key, this.#context.hop.hashKnownHosts);
      this.#context.onNote(`Recorded the host key of ${this.#name} (${fingerprint(key)}) in ${file}`);
    } catch (error) {
      this.#context.onNote(`${asText(error)}; it is trusted for this time only`);
    }
  }

  /**
   * Further keys that the server has proved to own (UpdateHostKeys): recorded beside the one that known_hosts had, never
   * instead of it, and only for a host that the person's own file names outright.
   */
  async learn(keys: readonly Buffer[]): Promise<void> {
    const { hop } = this.#context;
    const [file] = hop.knownHosts;
    const knownHere = this.#knownBy?.file === file && this.#knownBy !== undefined && !isWildcard(this.#knownBy.hosts);
    if (hop.updateHostKeys === 'no' || hop.hostKey.kind === 'fingerprint' || file === undefined || !knownHere) return;
    try {
      const { entries } = await this.#store.read(hop.knownHosts); // another connection may have learnt them meanwhile
      const fresh = keys.filter((key) => judgeHostKey(entries, this.#name, key, this.#fallbackName).kind === 'new');
      if (fresh.length === 0 || (hop.updateHostKeys === 'ask' && !(await this.#mayLearn(fresh)))) return;
      for (const key of fresh) await this.#store.append(file, this.#name, key, hop.hashKnownHosts);
      this.#context.onNote(
        `Learned ${fresh.length} further host keys of ${this.#name}: ${fresh.map(fingerprint).join(', ')}`,
      );
    } catch (error) {
      if (!this.#context.signal.aborted)
        this.#context.onNote(`Further host keys of ${this.#name} were not recorded: ${asText(error)}`);
    }
  }

  async #mayLearn(keys: readonly Buffer[]): Promise<boolean> {
    const answer = await this.#context.ask({
      kind: 'confirm',
      subject: this.#name,
      prompt: `Record the further host keys of ${this.#name}? (yes/no)`,
      detail: keys.map((key) => `${keyTypeTitle(keyTypeOf(key) ?? 'unknown')} ${fingerprint(key)}`).join('\n'),
      echo: true,
    });
    return answer.reveal().trim().toLowerCase() === 'yes';
  }

  async #judge(key: Buffer, certificate: Buffer | undefined): Promise<void> {
    const { hop } = this.#context;
    await this.#refuseRevoked(key, certificate);
    const verdict = judgeHostKey(this.#known.entries, this.#name, key, this.#fallbackName);
    if (verdict.kind === 'revoked') throw this.#revoked(key, verdict.entry);
    if (hop.hostKey.kind === 'fingerprint') return this.#pinned(key, hop.hostKey.fingerprints);
    if (certificate !== undefined && this.#vouched(key, certificate)) return;
    switch (verdict.kind) {
      case 'match':
        this.#knownBy = verdict.entry;
        return;
      case 'changed': {
        const { file, line } = verdict.entry;
        throw this.#changed(verdict.storedFingerprint, `${file}:${line} says`, key, file);
      }
      case 'new':
        if (hop.hostKey.kind === 'strict') await this.#askWhether(key, verdict);
        this.#toRecord = key;
    }
  }

  /** @throws HOST_KEY_REVOKED, FILE where RevokedHostKeys cannot be read */
  async #refuseRevoked(key: Buffer, certificate: Buffer | undefined): Promise<void> {
    const { name, hop } = this.#context;
    const file = hop.revokedHostKeys;
    if (file === null) return;
    const revoked = await isRevokedBy(file, key, certificate).catch((error: unknown) => {
      const why = `Cannot connect to ${name}: the revoked keys in ${file} cannot be read: ${cleanLine(asText(error), 200)}`;
      throw new TunnelError('FILE', why, { cause: error, hint: 'RevokedHostKeys of ssh_config names that file.' });
    });
    if (!revoked) return;
    const message = `Cannot connect to ${name}: its host key ${fingerprint(key)} is revoked by ${file}`;
    throw new TunnelError('HOST_KEY_REVOKED', message);
  }

  /** @throws HOST_KEY_REVOKED */
  #vouched(key: Buffer, certificate: Buffer): boolean {
    const names = { name: this.#name, fallbackName: this.#fallbackName, principal: this.#fallbackName };
    const verdict = judgeCertificate(this.#known.entries, certificate, names, Date.now(), this.#signatures);
    if (verdict.kind === 'revoked')
      throw this.#revoked(verdict.entry.key, verdict.entry, 'the authority of its host certificate');
    if (verdict.kind === 'useless') {
      this.#uselessCertificate = verdict.why;
      this.#context.onNote(`The host certificate of ${this.#context.name} is not used: ${verdict.why}`);
    }
    if (verdict.kind === 'vouched') this.#store.vouched?.(this.#name, key, verdict.entry);
    return verdict.kind === 'vouched';
  }

  get #signatures(): readonly string[] | null {
    const { caSignatureAlgorithms } = this.#context.hop;
    return caSignatureAlgorithms === null ? null : caSignatures(caSignatureAlgorithms);
  }

  #pinned(key: Buffer, fingerprints: readonly string[]): void {
    const own = fingerprint(key);
    if (fingerprints.some((pin) => pin.replace(/=+$/, '') === own)) return;
    throw this.#changed(fingerprints.join(' or '), 'the profile says', key);
  }

  async #askWhether(key: Buffer, verdict: Extract<Verdict, { kind: 'new' }>): Promise<void> {
    const { context, title } = { context: this.#context, title: keyTypeTitle(keyTypeOf(key) ?? 'unknown') };
    const answer = await context
      .ask({
        kind: 'host-key',
        subject: this.#name,
        prompt: `Trust this key of ${this.#name} from now on? (yes/no/fingerprint)`,
        detail: [
          `The authenticity of host '${context.name}' can't be established.`,
          `${title} key fingerprint is ${fingerprint(key)}.`,
          ...(this.#uselessCertificate === undefined
            ? []
            : [`Its certificate does not help: ${this.#uselessCertificate}.`]),
          ...otherNews(verdict, this.#known, this.#uselessCertificate !== undefined),
        ].join('\n'),
        echo: true,
      })
      .catch((error: unknown) => {
        if (error instanceof TunnelError && error.code === 'NEEDS_PERSON') throw this.#unknown(key, title, error);
        throw error;
      });
    const said = answer.reveal().trim();
    if (said.toLowerCase() === 'yes' || said.replace(/=+$/, '') === fingerprint(key)) return;
    throw said.startsWith('SHA256:') ? this.#otherThanTyped(key, said) : this.#unknown(key, title);
  }

  #otherThanTyped(key: Buffer, typed: string): TunnelError {
    return new TunnelError(
      'HOST_KEY_UNKNOWN',
      `Cannot connect to ${this.#context.name}: its host key is ${fingerprint(key)}, and not ${cleanLine(typed, 80)} as was typed`,
      {
        hint: 'Type or paste it whole; if the two really differ, somebody may be in between: ask the owner of the host.',
      },
    );
  }

  #unknown(key: Buffer, title: string, cause?: unknown): TunnelError {
    const { hop, name } = this.#context;
    const message = `Cannot connect to ${name}: its ${title} host key is unknown (${fingerprint(key)})`;
    return new TunnelError('HOST_KEY_UNKNOWN', message, {
      cause,
      hint: `Compare the fingerprint with the owner's, then run \`tunnel trust ${hop.trustedAs ?? hop.label}\`.`,
    });
  }

  #changed(expected: string, source: string, key: Buffer, file?: string): TunnelError {
    const title = keyTypeTitle(keyTypeOf(key) ?? 'unknown');
    const { label, trustedAs = label } = this.#context.hop;
    const remedy =
      file === undefined
        ? 'change the fingerprint in the profile'
        : `run \`tunnel untrust ${trustedAs}\`, or \`ssh-keygen -f ${file} -R '${this.#name}'\`, and connect again`;
    return new TunnelError(
      'HOST_KEY_CHANGED',
      `Cannot connect to ${this.#context.name}: its ${title} host key has changed: it shows ${fingerprint(key)}, but ${source} ${cleanLine(expected)}`,
      {
        hint: `Somebody may be in between. Ask the owner of the host for its fingerprint first; if it is right, ${remedy}.`,
      },
    );
  }

  #revoked(key: Buffer, entry: { readonly file: string; readonly line: number }, what = 'its host key'): TunnelError {
    const message = `Cannot connect to ${this.#context.name}: ${what} ${fingerprint(key)} is marked as revoked in ${entry.file}:${entry.line}`;
    return new TunnelError('HOST_KEY_REVOKED', message);
  }

  #broken(error: unknown): TunnelError {
    if (this.#context.signal.aborted && this.#context.signal.reason instanceof TunnelError)
      return this.#context.signal.reason;
    return new TunnelError('INTERNAL', `Cannot check the host key of ${this.#context.name}`, { cause: error });
  }
}

/** The names that known_hosts is asked for. A HostKeyAlias stands without a port, as in OpenSSH. */
export function hostKeyNames(hop: Pick<HopPlan, 'host' | 'port' | 'hostKeyName'>): {
  name: string;
  fallbackName: string;
} {
  const bare = hop.hostKeyName.toLowerCase();
  const alias = bare !== hop.host.toLowerCase();
  return { name: alias ? bare : knownHostName(bare, hop.port), fallbackName: bare };
}

/** What else known_hosts holds that bears on the answer. */
function otherNews(
  { others, certAuthority }: Extract<Verdict, { kind: 'new' }>,
  known: KnownHosts,
  certificateShown: boolean,
): string[] {
  const news = others.map(
    (other) =>
      `Another key of this host is known: ${keyTypeTitle(other.keyType)} ${fingerprint(other.key)} in ${other.file}:${other.line}.`,
  );
  if (certAuthority && !certificateShown)
    news.push('A @cert-authority line speaks of this host, but it showed a plain key and no certificate.');
  const [first] = known.problems;
  if (first !== undefined) {
    const more = known.problems.length > 1 ? ` and ${known.problems.length - 1} more lines were` : ' was';
    news.push(`${first.file}:${first.line}${more} skipped: ${first.message}.`);
  }
  return news;
}

function asText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
