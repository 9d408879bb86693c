/** A process that records or removes hosts in a loop: FILE `append`|`remove` PREFIX COUNT. The names are PREFIX-0, PREFIX-1, … */
import { createHash } from 'node:crypto';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { removeKnownHost } from '../../src/files/known-hosts-remove.ts';
import { wireString } from '../../src/model/wire.ts';

const [, , file = '', verb = '', prefix = '', count = ''] = process.argv;
for (let index = 0; index < Number(count); index++) {
  const name = `${prefix}-${index}`;
  const key = Buffer.concat([wireString('ssh-ed25519'), wireString(createHash('sha256').update(name).digest())]);
  if (verb === 'append') await appendKnownHost(file, name, key, false);
  else await removeKnownHost(file, name);
}
