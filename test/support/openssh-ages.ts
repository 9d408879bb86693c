import { existsSync } from 'node:fs';
import type { SshdOptions } from './sshd.ts';
import { TRIXIE } from './trixie.ts';

/** A version of OpenSSH that the tests meet as a real server. */
export interface OpensshAge {
  readonly name: string;
  readonly start: Pick<SshdOptions, 'root'>;
  /** Post-quantum key exchange with ML-KEM came with 9.9, penalties for refused logins with 9.8. */
  readonly mlKem: boolean;
}

/** Debian 12's and Debian 13's. @throws where `npm run test:interop` has not made the second one yet */
export function opensshAges(): readonly OpensshAge[] {
  if (!existsSync(TRIXIE)) throw new Error('OpenSSH 10.0 is not there: run `npm run test:interop`, which makes it');
  return [
    { name: 'OpenSSH 9.2', start: {}, mlKem: false },
    { name: 'OpenSSH 10.0', start: { root: TRIXIE }, mlKem: true },
  ];
}
