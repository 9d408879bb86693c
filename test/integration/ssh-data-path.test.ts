import { dataPathCases } from '../support/data-path-cases.ts';

dataPathCases(['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr']);
