/** One mail as it lies in the mailbox: the text with CRLF line ends, and the id that never changes (UIDL). */
export interface Mail {
  readonly id: string;
  readonly text: string;
}

/** The three mails of the demo. Plain ASCII, so that octets and characters are the same number. */
export const SAMPLE_MAILS: readonly Mail[] = [
  mail('demo-1', {
    from: 'Ada <ada@example.org>',
    subject: 'Welcome to your tunnel',
    date: 'Mon, 02 Nov 2026 08:00:00 +0000',
    body: [
      'Hello,',
      '',
      'this mail came by POP3, which encrypts nothing: whoever sits on the way',
      'could read it, and your password with it. Here nobody could: the way went',
      'through SSH.',
      '',
      'Ada',
    ],
  }),
  mail('demo-2', {
    from: 'Grace <grace@example.org>',
    subject: 'What stayed the same',
    date: 'Tue, 03 Nov 2026 09:30:00 +0000',
    body: [
      'Your mail client knows one address: localhost. When the laptop sleeps, when',
      'the Wi-Fi changes, when the server restarts, that address stays open.',
      '',
      'Grace',
    ],
  }),
  mail('demo-3', {
    from: 'Jon <jon@example.org>',
    subject: 'A line with one dot',
    date: 'Wed, 04 Nov 2026 17:45:00 +0000',
    body: ['RFC 1939 ends a mail with a line of one dot. This mail has one inside:', '.', 'and goes on.', '', 'Jon'],
  }),
];

interface Draft {
  readonly from: string;
  readonly subject: string;
  readonly date: string;
  readonly body: readonly string[];
}

function mail(id: string, { from, subject, date, body }: Draft): Mail {
  const head = [
    `From: ${from}`,
    'To: You <you@example.org>',
    `Subject: ${subject}`,
    `Date: ${date}`,
    `Message-ID: <${id}@example.org>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii',
  ];
  return { id, text: [...head, '', ...body, ''].join('\r\n') };
}
