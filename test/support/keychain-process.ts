/**
 * One operation on the real keychain of the session that it runs in, in a process of its own:
 * `keychain-process.ts DEADLINE_MS get|set|delete|list SUBJECT [VALUE]`. Prints one line of JSON and ends by process.exit.
 */
import { asTunnelError } from '../../src/model/failure.ts';
import { Secret } from '../../src/model/secret.ts';
import { Keychain } from '../../src/secrets/keychain.ts';

const [deadline = '5000', operation, subject = '', value = ''] = process.argv.slice(2);
const keychain = new Keychain({ deadlineMs: Number(deadline) });
const name = { kind: 'password', subject } as const;

async function perform(): Promise<unknown> {
  switch (operation) {
    case 'get':
      return (await keychain.get(name))?.reveal() ?? null;
    case 'set':
      return (await keychain.set(name, new Secret(value)), 'stored');
    case 'delete':
      return keychain.delete(name);
    default:
      return keychain.list();
  }
}

try {
  process.stdout.write(`${JSON.stringify({ result: await perform() })}\n`);
} catch (thrown) {
  process.stdout.write(`${JSON.stringify({ error: asTunnelError(thrown).facts })}\n`);
}
process.exit(0);
