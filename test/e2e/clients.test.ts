import { once } from 'node:events';
import { expect, test } from 'vitest';
import { startSshd } from '../support/sshd.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';

test.each([
  ['local', '127.0.0.1:auto'],
  ['remote', '"127.0.0.1:0"'],
])('%s, one client address at a time: refused with a word in the log, or waiting, as it says', async (kind, bind) => {
  await using target = await TcpTarget.start(echo);
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const forward = (rule: string): string =>
    `  - { ${kind}: ${bind}, to: 127.0.0.1:${target.port}, name: ${rule}, clients: ${rule} }\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}forwards:\n${forward('exclusive')}${forward('queue')}`);
  await cli.ok('up', 't');
  const [exclusive, queue] = [await cli.port('t', 0), await cli.port('t', 1)];
  const firsts = [await client(exclusive, '127.0.0.1', '127.0.0.2'), await client(queue, '127.0.0.1', '127.0.0.2')];
  for (const socket of firsts) {
    socket.write('first');
    await once(socket, 'data');
  }

  // It may be reset before it knows that it was accepted.
  const second = await client(exclusive, '127.0.0.1', '127.0.0.3').catch(() => undefined);
  const refused = second === undefined ? '' : (await transcript(second)).text;
  const waiting = await client(queue, '127.0.0.1', '127.0.0.3');
  waiting.write('second');
  firsts[1]?.end();
  const [served] = (await once(waiting, 'data')) as [Buffer];

  expect([refused, served.toString()]).toEqual(['', 'second']);
  await cli.logged('t', '127.0.0.2 uses it, and only one may at a time');
  for (const socket of [...firsts, waiting]) socket.destroy();
});
