import type { Mail } from './sample-mails.ts';

/** What the server says to one command; after `close` it hangs up. */
export interface Reply {
  readonly text: string;
  readonly close: boolean;
}

/** RFC 1939 section 4: sent at once, before the client says anything. */
export const GREETING = '+OK POP3 server of the demo is ready\r\n';

const CAPABILITIES = ['USER', 'TOP', 'UIDL', 'PIPELINING', 'IMPLEMENTATION tunnel-demo'];

/**
 * One POP3 session (RFC 1939, and CAPA of RFC 2449): a command line in, the reply out; no socket, no clock. Any name and
 * password open the mailbox. DELE marks as it must, yet QUIT deletes nothing: the next session finds all mails again.
 */
export class Pop3Session {
  readonly #mails: readonly Mail[];
  readonly #deleted = new Set<number>();
  #user: string | undefined;
  #loggedIn = false;

  constructor(mails: readonly Mail[]) {
    this.#mails = mails;
  }

  /** @param line one command, without its line end */
  answer(line: string): Reply {
    const [verb = '', ...words] = line.trim().split(/ +/);
    const argument = words.join(' ');
    switch (verb.toUpperCase()) {
      case 'QUIT':
        return { text: '+OK goodbye\r\n', close: true };
      case 'CAPA':
        return lines('+OK', CAPABILITIES);
      default:
        return this.#loggedIn
          ? this.#transaction(verb.toUpperCase(), words)
          : this.#authorization(verb.toUpperCase(), argument);
    }
  }

  /** RFC 1939 section 4 and 7: USER, then PASS. */
  #authorization(verb: string, argument: string): Reply {
    switch (verb) {
      case 'USER':
        if (argument === '') return refused('USER needs a name');
        this.#user = argument;
        return ok('any password will do');
      case 'PASS':
        if (this.#user === undefined) return refused('USER comes first');
        this.#loggedIn = true;
        return ok(`mailbox open, ${this.#mails.length} messages`);
      default:
        return refused('log in first, with USER and PASS');
    }
  }

  /** RFC 1939 section 5. */
  #transaction(verb: string, words: readonly string[]): Reply {
    switch (verb) {
      case 'STAT':
        return ok(`${this.#kept().length} ${this.#kept().reduce((sum, [, mail]) => sum + mail.text.length, 0)}`);
      case 'LIST':
        return this.#listing(words[0], (mail) => String(mail.text.length));
      case 'UIDL':
        return this.#listing(words[0], (mail) => mail.id);
      case 'RETR':
        return this.#withMail(words[0], (mail) => lines(`+OK ${mail.text.length} octets`, bodyLines(mail)));
      case 'TOP':
        return this.#withMail(words[0], (mail) => top(mail, words[1]));
      case 'DELE':
        return this.#withMail(words[0], (_mail, number) => {
          this.#deleted.add(number);
          return ok(`message ${number} marked`);
        });
      case 'RSET':
        this.#deleted.clear();
        return ok(`${this.#mails.length} messages`);
      case 'NOOP':
        return ok('');
      default:
        return refused('unknown command');
    }
  }

  #listing(number: string | undefined, column: (mail: Mail) => string): Reply {
    if (number !== undefined) return this.#withMail(number, (mail, at) => ok(`${at} ${column(mail)}`));
    const kept = this.#kept();
    return lines(
      `+OK ${kept.length} messages`,
      kept.map(([at, mail]) => `${at} ${column(mail)}`),
    );
  }

  #withMail(number: string | undefined, reply: (mail: Mail, number: number) => Reply): Reply {
    const at = number !== undefined && /^\d{1,9}$/.test(number) ? Number(number) : 0;
    const mail = this.#deleted.has(at) ? undefined : this.#mails[at - 1];
    return mail === undefined ? refused('no such message') : reply(mail, at);
  }

  #kept(): (readonly [number, Mail])[] {
    return this.#mails.map((mail, at) => [at + 1, mail] as const).filter(([number]) => !this.#deleted.has(number));
  }
}

function top(mail: Mail, count: string | undefined): Reply {
  if (count === undefined || !/^\d{1,9}$/.test(count)) return refused('TOP needs a message and a number of lines');
  const all = bodyLines(mail);
  const bodyAt = all.indexOf('') + 1;
  return lines('+OK', all.slice(0, bodyAt + Number(count)));
}

/** The text's lines; its last CRLF ends the last line and begins no new one. */
function bodyLines(mail: Mail): string[] {
  return mail.text.replace(/\r\n$/, '').split('\r\n');
}

function ok(text: string): Reply {
  return { text: text === '' ? '+OK\r\n' : `+OK ${text}\r\n`, close: false };
}

function refused(why: string): Reply {
  return { text: `-ERR ${why}\r\n`, close: false };
}

/** RFC 1939 section 3: a multi-line reply ends in a line of one dot; a line that begins with a dot gets another. */
function lines(status: string, rows: readonly string[]): Reply {
  const stuffed = rows.map((row) => (row.startsWith('.') ? `.${row}` : row));
  return { text: [status, ...stuffed, '.', ''].join('\r\n'), close: false };
}
