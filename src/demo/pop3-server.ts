import { createServer, type Server, type Socket } from 'node:net';
import { GREETING, Pop3Session } from './pop3-session.ts';
import { SAMPLE_MAILS, type Mail } from './sample-mails.ts';

/** A POP3 server on a free port of 127.0.0.1. */
export interface Pop3Server {
  readonly port: number;
  /** Ends every session and stops listening. Safe to call twice. */
  close(): Promise<void>;
}

/** RFC 2449 section 4: longest command line. More than that without a line end is no POP3 client. */
const LONGEST_LINE = 255;

/** RFC 1939 section 3: an autologout timer must be at least 10 minutes. */
const AUTOLOGOUT_MS = 600_000;

/** Starts the demo's mail server; the caller closes it. */
export async function startPop3Server(mails: readonly Mail[] = SAMPLE_MAILS): Promise<Pop3Server> {
  const sockets = new Set<Socket>();
  // Half-open, so that `printf … | nc` still gets its answers after it has sent its EOF.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serve(socket, new Pop3Session(mails));
  });
  const port = await listen(server);
  let closed: Promise<void> | undefined;
  return {
    port,
    close: () => {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
      return closed;
    },
  };
}

function serve(socket: Socket, session: Pop3Session): void {
  let pending = '';
  socket.setEncoding('latin1');
  socket.setTimeout(AUTOLOGOUT_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy()); // a client that vanished owes us nothing more
  socket.on('end', () => socket.end());
  socket.on('data', (chunk: string) => {
    const [last = '', ...complete] = (pending + chunk).split('\n').reverse();
    pending = last;
    for (const line of complete.reverse()) {
      if (socket.writableEnded) return;
      const reply = session.answer(line.replace(/\r$/, ''));
      socket.write(reply.text);
      if (reply.close) socket.end();
    }
    if (pending.length > LONGEST_LINE && !socket.writableEnded) {
      socket.write('-ERR line too long\r\n');
      socket.destroySoon(); // once that is out: nothing more is read
    }
  });
  socket.write(GREETING);
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new TypeError('A TCP listener has a port'));
      else resolve(address.port);
    });
  });
}
