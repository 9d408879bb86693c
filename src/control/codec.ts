import { FAILURES, TunnelError, type FailureFacts } from '../model/failure.ts';

/** One message: JSON-RPC 2.0, a line of JSON each. Error frames carry our facts in `error.data`. */
export type Frame =
  | { readonly kind: 'request'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: 'notification'; readonly method: string; readonly params: unknown }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  /** `id` null: the far side could not tell which request was meant. */
  | { readonly kind: 'error'; readonly id: number | null; readonly error: FailureFacts };

/** A line that is no frame. The connection has lost its place or its mind: say why, then close it. */
export interface Refusal {
  readonly kind: 'refused';
  readonly reason: 'too-long' | 'not-utf8' | 'not-json' | 'not-a-frame';
  /** Of the request, where the line still told it. */
  readonly id: number | null;
}

/** 1 MiB: some 500 tunnels in one snapshot, and a bound on what a connection can make us hold. */
export const MAX_FRAME_BYTES = 1024 * 1024;

// JSON-RPC 2.0 section 5.1: -32000 to -32099 are the server's own; ours all stand in `data`.
const OWN_ERROR = -32000;

/**
 * One line, its newline included.
 * @throws TunnelError PROTOCOL when it is longer than `MAX_FRAME_BYTES`
 */
export function encodeFrame(frame: Frame): Buffer {
  const line = Buffer.from(`${JSON.stringify(wireForm(frame))}\n`);
  if (line.length <= MAX_FRAME_BYTES) return line;
  throw new TunnelError('PROTOCOL', `Cannot send a message of ${line.length} bytes: the limit is ${MAX_FRAME_BYTES}`, {
    hint: '',
  });
}

function wireForm(frame: Frame): object {
  switch (frame.kind) {
    case 'request':
      return { jsonrpc: '2.0', id: frame.id, method: frame.method, params: frame.params };
    case 'notification':
      return { jsonrpc: '2.0', method: frame.method, params: frame.params };
    case 'result':
      return { jsonrpc: '2.0', id: frame.id, result: frame.result };
    case 'error': {
      const error = { code: OWN_ERROR, message: frame.error.message, data: frame.error };
      return { jsonrpc: '2.0', id: frame.id, error };
    }
  }
}

/** Reads a stream of lines however it was cut into chunks. After its first refusal it reads nothing more. */
export class FrameDecoder {
  #parts: Buffer[] = [];
  #heldBytes = 0;
  #refused = false;

  /** @returns the frames that this chunk completes, in order; a refusal is the last */
  push(chunk: Buffer): readonly (Frame | Refusal)[] {
    const out: (Frame | Refusal)[] = [];
    let rest = chunk;
    while (!this.#refused) {
      const newline = rest.indexOf(0x0a);
      const piece = newline === -1 ? rest : rest.subarray(0, newline);
      this.#parts.push(piece);
      this.#heldBytes += piece.length;
      if (this.#heldBytes >= MAX_FRAME_BYTES) this.#add(out, { kind: 'refused', reason: 'too-long', id: null });
      else if (newline === -1) break;
      else this.#add(out, readLine(this.#takeLine()));
      rest = rest.subarray(newline + 1);
    }
    return out;
  }

  #takeLine(): Buffer {
    const line = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#heldBytes = 0;
    return line;
  }

  #add(out: (Frame | Refusal)[], item: Frame | Refusal | undefined): void {
    if (item === undefined) return;
    out.push(item);
    if (item.kind !== 'refused') return;
    this.#refused = true;
    this.#parts = [];
  }
}

/** @returns undefined for an empty line, which means nothing */
function readLine(line: Buffer): Frame | Refusal | undefined {
  if (line.length === 0 || (line.length === 1 && line[0] === 0x0d)) return undefined;
  const text = decodeUtf8(line);
  if (text === undefined) return { kind: 'refused', reason: 'not-utf8', id: null };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'refused', reason: 'not-json', id: null };
  }
  return readFrame(value);
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function readFrame(value: unknown): Frame | Refusal {
  if (!isObject(value)) return { kind: 'refused', reason: 'not-a-frame', id: null };
  const { id, method, params, error } = value;
  const knownId = isId(id) ? id : null;
  const refusal: Refusal = { kind: 'refused', reason: 'not-a-frame', id: knownId };
  if (value['jsonrpc'] !== '2.0') return refusal;
  if (typeof method === 'string') {
    if (params !== undefined && !isObject(params)) return refusal;
    if (knownId !== null) return { kind: 'request', id: knownId, method, params: params ?? {} };
    return id === undefined ? { kind: 'notification', method, params: params ?? {} } : refusal;
  }
  if (isObject(error) && (knownId !== null || id === null)) {
    return { kind: 'error', id: knownId, error: readFacts(error) };
  }
  return knownId !== null && 'result' in value ? { kind: 'result', id: knownId, result: value['result'] } : refusal;
}

/** The facts of an error, whatever of them is there: an older or newer far side may send others. */
function readFacts(error: Record<string, unknown>): FailureFacts {
  const data = isObject(error['data']) ? error['data'] : {};
  const code = data['code'];
  const message = textOf(data['message']) ?? textOf(error['message']) ?? 'The supervisor gave no reason';
  const problems = data['problems'];
  return {
    code: isCode(code) ? code : 'INTERNAL',
    message,
    hint: textOf(data['hint']) ?? '',
    exit: typeof data['exit'] === 'number' ? data['exit'] : 1,
    ...(Array.isArray(problems) ? { problems: problems.filter(isProblem) } : {}),
  };
}

function isCode(value: unknown): value is FailureFacts['code'] {
  return typeof value === 'string' && Object.hasOwn(FAILURES, value);
}

type ProblemList = NonNullable<FailureFacts['problems']>;

function isProblem(value: unknown): value is ProblemList[number] {
  return (
    isObject(value) &&
    typeof value['file'] === 'string' &&
    typeof value['line'] === 'number' &&
    typeof value['column'] === 'number' &&
    typeof value['message'] === 'string'
  );
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
