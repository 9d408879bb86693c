import { expect, test } from 'vitest';
import { keychainHint, plainReason } from '../../src/secrets/keychain-reasons.ts';

test.each([
  ['Cannot autolaunch D-Bus without X11 $DISPLAY', 'there is no desktop session (no D-Bus)'],
  ['Failed to load keytar native addon, checked ["../build/Release"]', 'its library cannot be loaded'],
  ["Cannot find module 'keytar'\nRequire stack:\n- /x/dist/index.cjs", 'its library cannot be loaded'],
  ['Cannot create an item in a locked collection', 'it is locked, or there is none yet'],
  ['Object does not exist at path “/org/freedesktop/secrets/collection/login”', 'it is locked, or there is none yet'],
  [
    'The name org.freedesktop.secrets was not provided by any .service files',
    'no keychain service runs in this session',
  ],
  ['User interaction is not allowed.', 'it is locked, and nobody can be asked to unlock it'],
  ['something \u001b[31mnew', 'something \\u001b[31mnew'],
])('the library says %j, the person reads plain words', (said, words) => {
  expect(plainReason(new Error(said))).toBe(words);
});

test('the hint of a Linux names the package that is missing', () => {
  expect(keychainHint('linux')).toContain('libsecret-1-0');
});
