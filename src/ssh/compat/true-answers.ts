import type { Protocol } from './protocol.ts';

/** What the server really said about the login so far. */
export interface LoginTruth {
  /** Methods that can continue; undefined before the first answer. */
  readonly methods: readonly string[] | undefined;
  /** The last attempt was right, but the server wants more. */
  readonly partial: boolean;
  /** Refusals that count towards the server's MaxAuthTries. */
  readonly failures: number;
  /** `server-sig-algs` (RFC 8308 section 3.1); undefined where the server names none. */
  readonly signatureAlgorithms: readonly string[] | undefined;
}

/**
 * Watches the server's own words. ssh2 1.17.0 hands `authHandler` stale arguments after an agent's key (mscdex/ssh2
 * pull request 1215): a partial success looks like a refusal, and the methods are those of an earlier answer.
 * @returns how to read them at any time
 */
export function watchLogin(protocol: Protocol): () => LoginTruth {
  let truth: LoginTruth = { methods: undefined, partial: false, failures: 0, signatureAlgorithms: undefined };
  const handlers = protocol._handlers;
  const { USERAUTH_FAILURE, EXT_INFO } = handlers;
  handlers.USERAUTH_FAILURE = (self, methods, partial) => {
    // The first request is `none`, which asks for the methods; sshd does not count it (auth2.c).
    const counts = truth.methods !== undefined && !partial;
    truth = { ...truth, methods, partial, failures: truth.failures + (counts ? 1 : 0) };
    USERAUTH_FAILURE(self, methods, partial);
  };
  handlers.EXT_INFO = (self, extensions) => {
    const named = extensions.find((one) => one.name === 'server-sig-algs')?.algs;
    if (named !== undefined) truth = { ...truth, signatureAlgorithms: named };
    EXT_INFO(self, extensions);
  };
  return () => truth;
}
