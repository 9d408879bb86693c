import { describe, expect, test } from 'vitest';
import { Pop3Session } from '../../src/demo/pop3-session.ts';
import { SAMPLE_MAILS, type Mail } from '../../src/demo/sample-mails.ts';

const MAILS: readonly Mail[] = [
  { id: 'one', text: 'Subject: 1\r\n\r\na\r\n.\r\n.b\r\n' },
  { id: 'two', text: 'Subject: 2\r\n\r\nc\r\n' },
];

describe('a POP3 session of the demo', () => {
  test.each<[commands: readonly string[], reply: string]>([
    [['STAT'], '+OK 2 41\r\n'],
    [['LIST'], '+OK 2 messages\r\n1 24\r\n2 17\r\n.\r\n'],
    [['LIST 2'], '+OK 2 17\r\n'],
    [['UIDL'], '+OK 2 messages\r\n1 one\r\n2 two\r\n.\r\n'],
    [['RETR 1'], '+OK 24 octets\r\nSubject: 1\r\n\r\na\r\n..\r\n..b\r\n.\r\n'],
    [['TOP 1 1'], '+OK\r\nSubject: 1\r\n\r\na\r\n.\r\n'],
    [['TOP 1'], '-ERR TOP needs a message and a number of lines\r\n'],
    [['RETR 3'], '-ERR no such message\r\n'],
    [['RETR 0'], '-ERR no such message\r\n'],
    [['DELE 1', 'RETR 1'], '-ERR no such message\r\n'],
    [['DELE 1', 'STAT'], '+OK 1 17\r\n'],
    [['DELE 1', 'LIST'], '+OK 1 messages\r\n2 17\r\n.\r\n'],
    [['DELE 1', 'RSET', 'STAT'], '+OK 2 41\r\n'],
    [['noop'], '+OK\r\n'],
    [['APOP x'], '-ERR unknown command\r\n'],
  ])('%j answers as RFC 1939 has it', (commands, reply) => {
    const session = loggedIn();
    const replies = commands.map((command) => session.answer(command));
    expect(replies.at(-1)).toEqual({ text: reply, close: false });
  });

  test('any name and password open the mailbox, and nothing else does', () => {
    const session = new Pop3Session(MAILS);
    const texts = ['STAT', 'PASS x', 'USER', 'USER anybody', 'PASS any thing', 'QUIT'].map(
      (line) => session.answer(line).text,
    );
    expect(texts).toEqual([
      '-ERR log in first, with USER and PASS\r\n',
      '-ERR USER comes first\r\n',
      '-ERR USER needs a name\r\n',
      '+OK any password will do\r\n',
      '+OK mailbox open, 2 messages\r\n',
      '+OK goodbye\r\n',
    ]);
  });

  test('QUIT hangs up', () => {
    expect(loggedIn().answer('quit')).toEqual({ text: '+OK goodbye\r\n', close: true });
  });
});

test('the sample mails are plain ASCII with CRLF line ends, so that octets can be counted as characters', () => {
  for (const { text } of SAMPLE_MAILS) expect(text).toMatch(/^(?:[\x20-\x7e]*\r\n)+$/);
});

function loggedIn(): Pop3Session {
  const session = new Pop3Session(MAILS);
  session.answer('USER a');
  session.answer('PASS b');
  return session;
}
