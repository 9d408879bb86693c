import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { curl } from '../support/curl.ts';
import { eventually } from '../support/eventually.ts';
import { startSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';
import { WebTarget } from '../support/web-target.ts';

/** Profile `web` is a proxy through a real sshd, and is up. */
async function stage(more = '', config: readonly string[] = []) {
  const web = await WebTarget.start();
  const sshd = await startSshd({ config });
  const cli = await tunnelCli();
  const password = join(cli.home.dir, 'password');
  await writeFile(password, 's3cret\n', { mode: 0o600 });
  await cli.home.profile(
    'web',
    `${viaSshd(sshd)}secrets: { password: { file: ${password} } }\nforwards:\n  - socks: localhost:auto\n${more}`,
  );
  const up = await cli.ok('up', 'web');
  const port = await cli.port('web');
  return {
    ...{ cli, sshd, web, port, up },
    proxy: `localhost:${port}`,
    url: `http://localhost:${web.port}/page`,
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await web.close();
    },
  };
}

test('curl fetches a page in each of its proxy modes, all on one port', async () => {
  await using on = await stage();
  const modes = [
    ['--socks5-hostname', on.proxy],
    ['-4', '--socks5', on.proxy],
    ['--socks4a', on.proxy],
    ['-4', '--socks4', on.proxy],
    ['--proxy', `http://${on.proxy}`, '-p'],
    ['--socks5-hostname', `127.0.0.1:${on.port}`],
    ['--socks5-hostname', `[::1]:${on.port}`],
  ];

  const fetched = await Promise.all(modes.map((mode) => curl(...mode, on.url)));

  expect(fetched).toEqual(modes.map(() => ({ code: 0, body: 'served /page', said: '' })));
  expect(on.up.stdout).toMatch(new RegExp(`web +localhost:${on.port} -> any host +up +socks`));
  const { forwards } = await on.cli.status('web');
  expect(forwards).toMatchObject([
    { name: 'auto-socks', kind: 'socks', bind: `localhost:${on.port}`, target: 'any host', totalConnections: 7 },
  ]);
  await on.cli.logged('web', `-> localhost:${on.web.port}`);
});

test('names are resolved by the server: one that only it knows is asked for there', async () => {
  await using on = await stage('', ['PermitOpen only.the.server.knows:80', 'LogLevel DEBUG']);

  const fetched = await curl('--socks5-hostname', on.proxy, 'http://only.the.server.knows/');

  expect(fetched).toMatchObject({ code: 97, body: '' });
  await eventually(() => on.sshd.log.includes('only.the.server.knows'), { what: 'the name in the log of the server' });
});

test('what the server refuses reaches the client in words of its protocol', async () => {
  const web = await WebTarget.start();
  await using on = await stage('', [`PermitOpen localhost:${web.port} localhost:1`]);
  const forbidden = on.url;

  const byHttp = await curl('--proxy', `http://${on.proxy}`, '-p', forbidden);
  const bySocks = await curl('--socks5-hostname', on.proxy, forbidden);
  const refused = await curl('--socks5-hostname', on.proxy, 'http://localhost:1/');
  const allowed = await curl('--socks5-hostname', on.proxy, `http://localhost:${web.port}/`);

  expect(byHttp.said).toContain('403');
  expect(bySocks).toMatchObject({ code: 97, said: expect.stringContaining('(2)') as string });
  expect(refused).toMatchObject({ code: 97, said: expect.stringContaining('(5)') as string });
  expect(allowed).toMatchObject({ code: 0, body: 'served /' });
  expect(await on.cli.status('web')).toMatchObject({ state: 'up' });
  await web.close();
});

test('with auth, curl gets through with the password that is kept and not without', async () => {
  await using on = await stage('    auth: alice\n');
  const http = ['--proxy', `http://${on.proxy}`, '-p'];

  const right = await Promise.all([
    curl('--socks5-hostname', on.proxy, '--proxy-user', 'alice:s3cret', on.url),
    curl(...http, '--proxy-user', 'alice:s3cret', on.url),
  ]);
  const wrong = await Promise.all([
    curl('--socks5-hostname', on.proxy, '--proxy-user', 'alice:guess', on.url),
    curl('--socks5-hostname', on.proxy, on.url),
    curl('--socks4a', on.proxy, on.url),
    curl(...http, on.url),
    curl(...http, '--proxy-user', 'alice:guess', on.url),
  ]);

  expect(right.map(({ body }) => body)).toEqual(['served /page', 'served /page']);
  expect(wrong.map(({ code, body }) => [code > 0, body])).toEqual(wrong.map(() => [true, '']));
  expect(wrong[3]?.said).toContain('407');
  const { stdout } = await on.cli.ok('logs', 'web');
  expect(stdout).not.toContain('s3cret');
});

test('a proxy that wants a password nobody has kept fails, and says how to keep one', async () => {
  await using cli = await tunnelCli();
  const sshd = await startSshd();
  await cli.home.profile(
    'web',
    `${viaSshd(sshd)}secrets: { password: prompt }\nforwards:\n  - { socks: localhost:auto, auth: alice, name: proxy }\n`,
  );

  const up = await cli.run('up', 'web');
  await sshd.stop();

  expect(up.code).toBe(1);
  expect(up.stderr).toContain('tunnel secret set password alice@web/proxy');
});

test('over an outage the proxy port stays, what was open ends, and what comes is served after it', async () => {
  await using on = await stage();
  await curl('--socks5-hostname', on.proxy, on.url);

  await on.sshd.kill();
  await on.cli.becomes('web', 'retrying');
  const held = curl('--socks5-hostname', on.proxy, on.url);
  await on.sshd.start();

  expect(await held).toEqual({ code: 0, body: 'served /page', said: '' });
  expect(await on.cli.becomes('web', 'up')).toMatchObject({ reconnects: 1 });
});
