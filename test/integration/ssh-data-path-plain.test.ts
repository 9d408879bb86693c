import '../support/without-addon.ts';
import { expect, test } from 'vitest';
import { bindingAvailable } from '../../src/ssh/compat/internals.ts';
import { dataPathCases } from '../support/data-path-cases.ts';

test('ssh2 has no addon here', () => expect(bindingAvailable).toBe(false));
dataPathCases();
