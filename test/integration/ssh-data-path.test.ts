import { CHACHA20 } from '../support/chacha20.ts';
import { dataPathCases } from '../support/data-path-cases.ts';

dataPathCases(['aes128-gcm@openssh.com', ...CHACHA20, 'aes256-ctr']);
