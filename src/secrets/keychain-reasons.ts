import { cleanLine } from '../model/clean.ts';

/**
 * Keytar passes on what each system's library says, as text and nothing else; these are what was seen of libsecret,
 * GDBus and macOS. What is not known is shown as it came, made clean.
 */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/Failed to load keytar native addon|^Cannot find module 'keytar'/, 'its library cannot be loaded'],
  [/autolaunch D-Bus|DBUS_SESSION_BUS_ADDRESS|Could not connect: /, 'there is no desktop session (no D-Bus)'],
  [/org\.freedesktop\.secrets/, 'no keychain service runs in this session'],
  [/Object does not exist at path|locked collection|is locked/i, 'it is locked, or there is none yet'],
  [/dismissed|cancel/i, 'unlocking it was declined'],
  [/User interaction is not allowed/, 'it is locked, and nobody can be asked to unlock it'],
];

export function plainReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const [, words] = REASONS.find(([pattern]) => pattern.test(text)) ?? [];
  return words ?? cleanLine(text);
}

/** What makes a keychain work there, and what to use instead. */
export function keychainHint(platform: NodeJS.Platform): string {
  const instead =
    'Without one, keep secrets in an encrypted file (`tunnel secret set --vault`, and `vault` under `secrets` in the profile), ' +
    'name a `command` or a `file` there, or answer when asked.';
  if (platform !== 'linux') return `Unlock the keychain and try again. ${instead}`;
  return (
    'It needs libsecret (Debian: libsecret-1-0) and an unlocked Secret Service (gnome-keyring, KWallet) ' +
    `in a desktop session. ${instead}`
  );
}
