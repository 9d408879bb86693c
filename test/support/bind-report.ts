/**
 * A program that tries to bind and prints how that went as one JSON line, then ends: `bind-report.ts HOST PORT [UID]`.
 * With a uid it acts as that user from then on (start it as root).
 */
import { listen } from '../../src/forward/listen/listener.ts';
import { asTunnelError } from '../../src/model/failure.ts';

const [, , host = 'localhost', port = '0', uid] = process.argv;
if (uid !== undefined) process.seteuid?.(Number(uid));
const notes: string[] = [];
const ignore = (): void => undefined;
try {
  const bind = { kind: 'tcp', host, port: Number(port) } as const;
  const onNote = (note: string): void => void notes.push(note);
  const listener = await listen({ bind, nameHolder: true, onSocket: ignore, onAcceptError: ignore, onNote });
  listener.close();
  console.log(JSON.stringify({ notes, bound: listener.bound }));
} catch (error) {
  console.log(JSON.stringify({ notes, error: asTunnelError(error).facts }));
}
