/**
 * What the server said when it let nobody in: the cause of LOGIN_REFUSED and of NEEDS_PERSON, for whoever tells it in other words
 * than the message does.
 */
export class LoginRefusal extends Error {
  override readonly name = 'LoginRefusal';
  /** Who was refused, and by which host of the way. */
  readonly user: string;
  readonly host: string;
  /**
   * "Authentications that can continue" of the last SSH_MSG_USERAUTH_FAILURE (RFC 4252 section 5.1), in the server's own words
   * and order: they are not cleaned. Undefined where the login ended before one came.
   */
  readonly methods: readonly string[] | undefined;

  constructor(
    { user, host, methods }: Pick<LoginRefusal, 'user' | 'host' | 'methods'>,
    options: { readonly cause?: unknown } = {},
  ) {
    super(`${host} refused ${user}`, options);
    this.user = user;
    this.host = host;
    this.methods = methods;
  }
}
