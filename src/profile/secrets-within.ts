import type { Mistake } from './mistakes.ts';
import type { Path } from './yaml-tree.ts';

/** Names under which people write secrets down. */
const SECRET_NAME = /^(?:password|passwd|pass|pwd|passphrase|pass[-_]phrase|secret|key[-_]?passphrase|totp|otp)$/i;

/**
 * Every field that holds a password or passphrase, wherever it stands; `secrets` says only where they come from.
 * The value is never looked at, nor shown.
 */
export function secretsWithin(data: unknown, path: Path = []): Mistake[] {
  if (typeof data !== 'object' || data === null) return [];
  if (Array.isArray(data)) return data.flatMap((item, index) => secretsWithin(item, [...path, index]));
  return Object.entries(data).flatMap(([name, value]) => {
    if (path.length === 0 && name === 'secrets') return [];
    const here = [...path, name];
    return SECRET_NAME.test(name)
      ? [{ path: here, at: 'name' as const, message: refusal(name) }]
      : secretsWithin(value, here);
  });
}

function refusal(name: string): string {
  const words = /phrase/i.test(name)
    ? 'passphrase KEYFILE'
    : /otp/i.test(name)
      ? 'totp USER@HOST'
      : 'password USER@HOST';
  return `\`${name}\` is refused: a secret never stands in a profile, store it with \`tunnel secret set ${words}\``;
}
