import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameDecoder, MAX_FRAME_BYTES, encodeFrame, type Frame, type Refusal } from '../../src/control/codec.ts';
import { isMethod, readParams } from '../../src/control/params.ts';
import { TunnelError } from '../../src/model/failure.ts';

function decode(...chunks: readonly (string | Buffer)[]): (Frame | Refusal)[] {
  const decoder = new FrameDecoder();
  return chunks.flatMap((chunk) => [...decoder.push(Buffer.from(chunk))]);
}

const frame = fc.oneof(
  fc.record({
    kind: fc.constant('request'),
    id: fc.nat(),
    method: fc.string(),
    params: fc.dictionary(fc.string(), fc.jsonValue()),
  }),
  fc.record({
    kind: fc.constant('notification'),
    method: fc.string(),
    params: fc.dictionary(fc.string(), fc.jsonValue()),
  }),
  fc.record({ kind: fc.constant('result'), id: fc.nat(), result: fc.jsonValue() }),
) as fc.Arbitrary<Frame>;

/** As JSON has it: -0 is 0, and no prototype but the plain one. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('frames', () => {
  test('come out as they went in, wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 40 })), (frames, cuts) => {
        const stream = Buffer.concat(frames.map(encodeFrame));
        const decoder = new FrameDecoder();
        const seen: unknown[] = [];
        let at = 0;
        for (const cut of cuts) {
          seen.push(...decoder.push(stream.subarray(at, at + cut)));
          at += cut;
        }
        seen.push(...decoder.push(stream.subarray(at)));
        expect(asJson(seen)).toEqual(asJson(frames));
      }),
    );
  });

  test('carry the facts of an error, its problems included', () => {
    const error = new TunnelError('PROFILE_INVALID', 'Cannot read it', {
      problems: [{ file: '/p.yaml', line: 1, column: 2, message: 'no' }],
    }).facts;
    const sent: Frame = { kind: 'error', id: 7, error };
    expect(decode(encodeFrame(sent))).toEqual([sent]);
  });

  test('of garbage are refused once and never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
        const decoder = new FrameDecoder();
        const seen = chunks.flatMap((chunk) => [...decoder.push(Buffer.from(chunk))]);
        expect(seen.filter((item) => item.kind === 'refused').length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('of any JSON value are frames or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const [item] = decode(`${JSON.stringify(value)}\n`);
        expect(['request', 'notification', 'result', 'error', 'refused']).toContain(item?.kind);
      }),
    );
  });

  test.each([
    ['no JSON', 'hello\n', 'not-json', null],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22, 0x0a]), 'not-utf8', null],
    ['JSON that is no object', '[1]\n', 'not-a-frame', null],
    ['another JSON-RPC', '{"jsonrpc":"1.0","id":3,"method":"x"}\n', 'not-a-frame', 3],
    ['an id that is a text', '{"jsonrpc":"2.0","id":"3","method":"x"}\n', 'not-a-frame', null],
    ['params that are a list', '{"jsonrpc":"2.0","id":4,"method":"x","params":[]}\n', 'not-a-frame', 4],
    ['neither method nor result', '{"jsonrpc":"2.0","id":5}\n', 'not-a-frame', 5],
    ['nesting without end', '['.repeat(500_000) + '\n', 'not-json', null],
  ] as const)('of %s are refused', (_what, line, reason, id) => {
    expect(decode(line)).toEqual([{ kind: 'refused', reason, id }]);
  });

  test('longer than the limit are refused before their end is seen', () => {
    const decoder = new FrameDecoder();
    const piece = Buffer.alloc(64 * 1024, 0x61);
    const seen: (Frame | Refusal)[] = [];
    let sentBytes = 0;
    while (seen.length === 0) {
      seen.push(...decoder.push(piece));
      sentBytes += piece.length;
    }
    expect({ seen, sentBytes }).toEqual({
      seen: [{ kind: 'refused', reason: 'too-long', id: null }],
      sentBytes: MAX_FRAME_BYTES,
    });
  });

  test('after a refusal are not read any more', () => {
    expect(
      decode('x\n{"jsonrpc":"2.0","id":1,"method":"status"}\n', '{"jsonrpc":"2.0","id":2,"method":"status"}\n'),
    ).toEqual([{ kind: 'refused', reason: 'not-json', id: null }]);
  });

  test('longer than the limit are not sent', () => {
    const tooLong: Frame = { kind: 'result', id: 1, result: 'a'.repeat(MAX_FRAME_BYTES) };
    expect(() => encodeFrame(tooLong)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
  });

  test('as long as the limit are sent and read', () => {
    const empty = encodeFrame({ kind: 'result', id: 1, result: '' }).length;
    const longest: Frame = { kind: 'result', id: 1, result: 'a'.repeat(MAX_FRAME_BYTES - empty) };
    expect(decode(encodeFrame(longest))).toEqual([longest]);
  });

  test('with an error code from the future keep its words', () => {
    const line =
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"m","data":{"code":"LATER","message":"Cannot x"}}}\n';
    expect(decode(line)).toEqual([
      { kind: 'error', id: 1, error: { code: 'INTERNAL', message: 'Cannot x', hint: '', exit: 1 } },
    ]);
  });
});

describe('parameters', () => {
  test('of a known method are read, and fields from the future dropped', () => {
    const params = { select: { names: ['a'] }, caller: { cwd: '/', later: 1 }, attend: true, later: 2 };
    expect(readParams('up', params)).toEqual({ select: { names: ['a'] }, caller: { cwd: '/' }, attend: true });
  });

  test.each([
    ['up', {}],
    ['up', { select: { names: 'a' }, caller: { cwd: '/' }, attend: true }],
    ['down', { select: { all: true }, caller: { cwd: '/' }, drainMs: -1 }],
    ['attend', { names: [1], caller: { cwd: '/' } }],
    ['answer', { id: 'q', answer: 5 }],
  ] as const)('of %s that are wrong are refused: %j', (method, params) => {
    expect(() => readParams(method, params)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
  });

  test('that are wrong are named without their value', () => {
    const secret = { id: 4, answer: { typed: 'hunter2' } };
    expect(() => readParams('answer', secret)).toThrow(/^(?!.*hunter2)/);
  });

  test('belong to methods only, not to what every object has', () => {
    expect(['up', 'stop', 'toString', '__proto__', 'constructor'].filter(isMethod)).toEqual(['up', 'stop']);
  });
});
