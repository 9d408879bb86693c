import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

/** Opens, sends, ends its own direction and returns all that came back: what `printf … | nc` does. */
export async function ask(port: number, text: string, host = '127.0.0.1'): Promise<string> {
  const socket = connect({ port, host, allowHalfOpen: true });
  let answer = '';
  socket.setEncoding('utf8').on('data', (part: string) => (answer += part));
  socket.once('connect', () => socket.end(text));
  await once(socket, 'end');
  socket.destroy();
  return answer;
}

/** An open connection over which one line has already been echoed: it is known to work from end to end. */
export async function talking(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined); // a test that cuts it looks at 'close'
  await once(socket, 'connect');
  await echoes(socket, 'hello\n');
  return socket;
}

/** Sends the text on an open connection and resolves when all of it has come back. */
export async function echoes(socket: Socket, text: string): Promise<void> {
  socket.write(text);
  let back = '';
  while (back.length < text.length) {
    const [part] = (await Promise.race([
      once(socket, 'data'),
      once(socket, 'close').then(() => {
        throw new Error('The connection was closed');
      }),
    ])) as [Buffer];
    back += part.toString();
  }
}

/** Whether nobody listens at the port. */
export function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
    socket.once('connect', () => socket.destroy());
  });
}

/** Resolves once the socket has closed, however it ended; ask before it can. */
export function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
