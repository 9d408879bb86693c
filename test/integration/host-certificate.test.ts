import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseCertificate } from '../../src/known-hosts/certificate.ts';
import { judgeCertificate } from '../../src/known-hosts/certificate-verdict.ts';
import { parseKnownHosts } from '../../src/known-hosts/parse.ts';
import { eventually } from '../support/eventually.ts';
import { aDial, aRequest, failureOf, sshdHop } from '../support/ssh-dial.ts';
import { makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const run = promisify(execFile);
const TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;
const NAMES = { name: '[host.example]:2222', fallbackName: 'host.example', principal: 'host.example' };
const NOW = Date.parse('2026-06-01T12:00:00Z');

let home: TempHome;
beforeAll(async () => {
  home = await tempHome();
  for (const type of TYPES) {
    await makeKey(join(home.dir, `ca_${type}`), type);
    await makeKey(join(home.dir, `host_${type}`), type);
  }
});
afterAll(() => home.remove());

const authority = (type: string = 'ed25519'): string => join(home.dir, `ca_${type}`);
/** Type and key of a public key file, as known_hosts has them. */
const keyOf = async (file: string): Promise<string> =>
  (await readFile(`${file}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');

/** Has `ssh-keygen` certify a public key. @returns the certificate's file */
async function certify(file: string, ca: string, ...options: readonly string[]): Promise<string> {
  await run('ssh-keygen', ['-q', '-s', ca, '-I', 'test', ...options, `${file}.pub`]);
  return `${file}-cert.pub`;
}

async function blobOf(file: string): Promise<Buffer> {
  return Buffer.from((await readFile(file, 'utf8')).split(' ')[1] ?? '', 'base64');
}

/** Every certificate of one test is over the same key: only the options differ. */
async function judged(options: readonly string[], knownHosts: string, change = (blob: Buffer): Buffer => blob) {
  const file = await certify(join(home.dir, 'host_ed25519'), authority(), ...options);
  const blob = change(await blobOf(file));
  const verdict = judgeCertificate(parseKnownHosts(knownHosts, 'known_hosts').entries, blob, NAMES, NOW);
  return verdict.kind === 'useless' ? verdict.why : verdict.kind;
}

describe('a host certificate', () => {
  const host = ['-h', '-n', 'host.example'];
  const valid = ['-V', '20260101000000Z:20270101000000Z'];

  test.each([
    ['for the host', [...host, ...valid], 'vouched'],
    ['for ever', [...host, '-V', 'always:forever'], 'vouched'],
    ['for one of several names, by a pattern', ['-h', '-n', 'other,*.example', ...valid], 'vouched'],
    ['for every host', ['-h', ...valid], 'vouched'],
    ['for another host', ['-h', '-n', 'other.example', ...valid], 'it is for other names than host.example'],
    ['of a user', ['-n', 'host.example', ...valid], 'it is not for a host'],
    ['of the past', [...host, '-V', '20200101000000Z:20260601120000Z'], 'it has expired on 2026-06-01T12:00:00.000Z'],
    ['until a second from now', [...host, '-V', '20200101000000Z:20260601120001Z'], 'vouched'],
    ['of the future', [...host, '-V', '20260601120001Z:forever'], 'it is not valid before 2026-06-01T12:00:01.000Z'],
    [
      'with a critical option',
      [...host, ...valid, '-O', 'critical:later@example=1'],
      'it has critical options, of which none is known for hosts',
    ],
  ])('%s is judged as ssh judges it', async (_what, options, verdict) => {
    expect(await judged(options, `@cert-authority *.example,[*.example]:* ${await keyOf(authority())}\n`)).toBe(
      verdict,
    );
  });

  test('counts only where a @cert-authority line knows its authority for the host', async () => {
    const own = await keyOf(authority());
    const other = await keyOf(authority('rsa'));
    const why = 'no @cert-authority line knows its authority for this host';
    expect(await judged(host, '')).toBe(why);
    expect(await judged(host, `@cert-authority * ${other}\n`)).toBe(why);
    expect(await judged(host, `@cert-authority other.example ${own}\n`)).toBe(why);
    expect(await judged(host, `host.example ${own}\n`)).toBe(why);
    expect(await judged(host, `@cert-authority host.example ${own}\n`)).toBe('vouched'); // off port 22, by the bare name
  });

  test('of a revoked authority is fatal, whatever else the file says', async () => {
    const own = await keyOf(authority());
    expect(await judged(host, `@cert-authority * ${own}\n@revoked * ${own}\n`)).toBe('revoked');
    expect(await judged(host, `@revoked other.example ${own}\n@cert-authority * ${own}\n`)).toBe('vouched');
  });

  test('that was changed, cut or lengthened is no certificate', async () => {
    const known = `@cert-authority * ${await keyOf(authority())}\n`;
    const flipped = (at: number) => (blob: Buffer) => {
      const changed = Buffer.from(blob);
      changed[at] = (changed[at] ?? 0) ^ 1;
      return changed;
    };
    const length = (await blobOf(join(home.dir, 'host_ed25519-cert.pub'))).length;
    expect(await judged(host, known, flipped(60))).toBe('its signature is wrong'); // within the nonce
    expect(await judged(host, known, flipped(length - 1))).toBe('its signature is wrong');
    expect(await judged(host, known, (blob) => blob.subarray(0, -1))).toBe('it is damaged');
    expect(await judged(host, known, (blob) => Buffer.concat([blob, Buffer.of(0)]))).toBe('it is damaged');
  });

  test.each(TYPES.flatMap((ca) => TYPES.map((key) => [ca, key] as const)))(
    'signed by %s over %s is read as ssh-keygen wrote it',
    async (ca, key) => {
      const file = await certify(join(home.dir, `host_${key}`), authority(ca), ...host, ...valid);
      const blob = await blobOf(file);
      const { entries } = parseKnownHosts(`@cert-authority * ${await keyOf(authority(ca))}\n`, 'known_hosts');
      expect(parseCertificate(blob)).toMatchObject({ kind: 'host', keyId: 'test', principals: ['host.example'] });
      expect(parseCertificate(blob).key.equals(await blobOf(join(home.dir, `host_${key}.pub`)))).toBe(true);
      expect(judgeCertificate(entries, blob, NAMES, NOW).kind).toBe('vouched');
    },
  );
});

describe('a server with a host certificate', () => {
  /** A real sshd whose key was certified with these options; known_hosts holds what the test says about it. */
  async function certified(type: (typeof TYPES)[number], ca: string, options: readonly string[]): Promise<TestSshd> {
    const sshd = await startSshd({ hostKeyTypes: [type] });
    onTestFinished(() => sshd.stop());
    await certify(join(sshd.dir, `host_${type}`), ca, '-h', ...options);
    await sshd.configure(['LogLevel DEBUG1', `HostCertificate ${sshd.inside(`host_${type}-cert.pub`)}`], [type]);
    await sshd.kill();
    await sshd.start();
    return sshd;
  }
  const knows = (sshd: TestSshd, text: string) => writeFile(sshd.knownHostsFile, text);

  test.each(TYPES)('over an %s key is trusted by its authority, also through a rekey', async (type) => {
    const sshd = await certified(type, authority(), ['-n', '127.0.0.1']);
    await knows(sshd, `@cert-authority [127.0.0.1]:${sshd.port} ${await keyOf(authority())}\n`);
    const { request, questions } = aRequest([sshdHop(sshd, { rekey: { bytes: null, everyMs: 100 } })]);
    const transport = await aDial()(request);
    await eventually(() => (sshd.log.match(/rekeying in/g)?.length ?? 0) > 1);
    await transport.ping();
    transport.close();
    expect(transport.facts.hostKey).toMatch(/-cert-v01@openssh\.com$/);
    expect(questions).toEqual([]);
  });

  test('that does not fit is a host with a plain key: known by it, or asked about with the reason', async () => {
    const sshd = await certified('ed25519', authority(), ['-n', 'other.example']);
    const line = `@cert-authority * ${await keyOf(authority())}\n`;
    await knows(sshd, `${line}[127.0.0.1]:${sshd.port} ${await keyOf(join(sshd.dir, 'host_ed25519'))}\n`);
    const known = aRequest([sshdHop(sshd)]);
    (await aDial()(known.request)).close();
    await knows(sshd, line);
    const unknown = aRequest([sshdHop(sshd)]);
    const failure = await failureOf(aDial()(unknown.request));

    expect(known.notes.join()).toContain('it is for other names than 127.0.0.1');
    expect(failure.code).toBe('HOST_KEY_UNKNOWN');
    expect(unknown.questions[0]?.detail).toContain('it is for other names than 127.0.0.1');
  });

  test('whose authority is revoked is refused, and no login is tried', async () => {
    const sshd = await certified('ed25519', authority(), ['-n', '127.0.0.1']);
    const own = await keyOf(authority());
    const plain = await keyOf(join(sshd.dir, 'host_ed25519'));
    await knows(sshd, `@cert-authority * ${own}\n@revoked * ${own}\n[127.0.0.1]:* ${plain}\n`);
    const failure = await failureOf(aDial()(aRequest([sshdHop(sshd)]).request));
    expect(failure).toMatchObject({ code: 'HOST_KEY_REVOKED' });
    expect(failure.message).toContain('authority');
    expect(sshd.logins).toBe(0);
  });

  test('is known by its HostKeyAlias, which its certificate must name then', async () => {
    const sshd = await certified('ed25519', authority(), ['-n', 'alias.example']);
    await knows(sshd, `@cert-authority alias.example ${await keyOf(authority())}\n`);
    (await aDial()(aRequest([sshdHop(sshd, { hostKeyName: 'alias.example' })]).request)).close();
    expect(await failureOf(aDial()(aRequest([sshdHop(sshd)]).request))).toMatchObject({ code: 'HOST_KEY_UNKNOWN' });
  });

  test('that is pinned by its fingerprint shows its plain key', async () => {
    const sshd = await certified('ed25519', authority(), ['-n', '127.0.0.1']);
    await knows(sshd, `@cert-authority * ${await keyOf(authority())}\n`);
    const { stdout } = await run('ssh-keygen', ['-lf', join(sshd.dir, 'host_ed25519.pub')]);
    const fingerprints = [/SHA256:\S+/.exec(stdout)?.[0] ?? ''];
    const transport = await aDial()(
      aRequest([sshdHop(sshd, { hostKey: { kind: 'fingerprint', fingerprints } })]).request,
    );
    transport.close();
    expect(transport.facts.hostKey).toBe('ssh-ed25519');
  });
});
