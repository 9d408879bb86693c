import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A small Debian 13 in a folder, kept between runs: its OpenSSH 10.0 is started there by chroot. */
export const TRIXIE = join(process.env['TUNNEL_TEST_CACHE'] ?? '/var/cache/tunnel-tests', 'trixie');

/** What root's password is in there: for logins that ask a person. Nothing listens but for a test, on loopback. */
export const TRIXIE_PASSWORD = 'geheim';

/** Makes the folder where it is not there yet: about a minute, 260 MB, root. @throws with the tool's own words */
export function prepareTrixie(): void {
  if (!existsSync(TRIXIE)) {
    const building = `${TRIXIE}.building`;
    rmSync(building, { recursive: true, force: true });
    mkdirSync(building, { recursive: true });
    process.stdout.write(`Making ${TRIXIE} by debootstrap, once\n`);
    must('debootstrap', ['--variant=minbase', '--include=openssh-server', 'trixie', building]);
    renameSync(building, TRIXIE); // a run that was cut off leaves no half a system behind
  }
  must('chroot', [TRIXIE, 'chpasswd'], `root:${TRIXIE_PASSWORD}\n`);
  // Only what a password takes: there is no session bookkeeping in a bare folder.
  writeFileSync(join(TRIXIE, 'etc/pam.d/sshd'), 'auth required pam_unix.so\naccount required pam_permit.so\n');
}

function must(program: string, args: readonly string[], input = ''): void {
  const done = spawnSync(program, args, { input, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${program} failed: ${done.error?.message ?? `${done.stdout}${done.stderr}`}`);
}
