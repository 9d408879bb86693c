import { expect, test } from 'vitest';
import { profileNameFrom } from '../../src/cli/wizard/ask-forwards.ts';
import { freeName } from '../../src/cli/wizard/ask-name.ts';

test.each([
  ['pop.example.org', 'pop'],
  ['Mail-Host', 'mail-host'],
  ['192.168.0.10', '192.168.0.10'],
  ['fe80::1', 'fe80--1'],
  ['::1', '1'],
  ['_dmarc.example.org', 'dmarc'],
  ['пошта.укр', ''],
])('a profile for %s is called %j', (host, name) => {
  expect(profileNameFrom(host)).toBe(name);
});

test.each([
  ['pop', [], 'pop'],
  ['pop', ['pop', 'pop-2'], 'pop-3'],
  ['', [], ''],
])('%j beside %j becomes %j', (suggestion, taken, name) => {
  expect(freeName(suggestion, (candidate) => taken.some((other) => other === candidate))).toBe(name);
});
