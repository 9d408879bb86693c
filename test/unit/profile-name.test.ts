import { expect, test } from 'vitest';
import { isProfilePath, tunnelName } from '../../src/model/profile-name.ts';

test.each([
  ['pop-mail', false, 'pop-mail'],
  ['v1.2', false, 'v1.2'],
  ['mail.yaml', true, 'mail'],
  ['./mail.yml', true, 'mail'],
  ['team/mail', true, 'mail'],
  ['./team/', true, 'team'],
  // The command line took this for a path and the supervisor for a name.
  ['/a/b.c/MAIL.YML', true, 'MAIL'],
  ['mail.YAML', true, 'mail'],
])('%s is a path: %s, and runs as %s', (given, path, name) => {
  expect([isProfilePath(given), tunnelName(given)]).toEqual([path, name]);
});
