/** The socket to the server with Nagle's algorithm, as ssh2 by itself leaves it. */
import { dialSocket as real } from '../../../src/ssh/dial-socket.ts';

export { interleave } from '../../../src/ssh/dial-socket.ts';

export const dialSocket: typeof real = async (...words) => (await real(...words)).setNoDelay(false);
