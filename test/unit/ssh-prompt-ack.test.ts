import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PromptAck } from '../../src/ssh/data/prompt-ack.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched() {
  const state = { sentBytes: 0, acknowledged: 0 };
  const ack = new PromptAck(
    () => state.sentBytes,
    () => (state.acknowledged += 1),
  );
  return { ack, state };
}

test('what nobody answers is acknowledged once, soon', () => {
  const { ack, state } = watched();
  ack.heard();
  vi.advanceTimersByTime(1);
  expect(state.acknowledged).toBe(0);
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(1);
});

test('an answer of the client acknowledges it by itself', () => {
  const { ack, state } = watched();
  ack.heard();
  state.sentBytes += 10;
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(0);
});

test('an answer to what came before acknowledges nothing that came after', () => {
  const { ack, state } = watched();
  ack.heard();
  state.sentBytes += 10;
  ack.heard();
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(1);
});

test('as long as more comes the kernel is left to it', () => {
  const { ack, state } = watched();
  for (let packet = 0; packet < 1_000; packet += 1) {
    ack.heard();
    vi.advanceTimersByTime(1);
  }
  expect(state.acknowledged).toBe(0);
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(1);
});

/** A server that keeps the body back until its head is acknowledged, or until the kernel does so by itself. */
function conversation() {
  const { ack, state } = watched();
  const ask = (answersMs: number) => {
    state.sentBytes += 10;
    vi.advanceTimersByTime(answersMs);
    ack.heard();
  };
  return {
    state,
    quick: (ms: number) => {
      for (let round = 0; round < ms / 0.2; round += 1) ask(0.2);
    },
    /** @returns when the body came after its head */
    headAndBodyMs: (headMs = 0.2): number => {
      ask(headMs);
      const { acknowledged } = state;
      let waitedMs = 0;
      for (; waitedMs < 40 && state.acknowledged === acknowledged; waitedMs += 1) vi.advanceTimersByTime(1);
      ack.heard();
      return waitedMs;
    },
  };
}

test('a long conversation is left alone, without a timer', () => {
  const { quick, state } = conversation();
  quick(200);
  expect(vi.getTimerCount()).toBe(0);
  expect(state.acknowledged).toBe(0);
});

test('a body is not late after a few questions, nor after a long conversation that paused', () => {
  const { quick, headAndBodyMs } = conversation();
  for (let round = 0; round < 100; round += 1) {
    quick(10);
    expect(headAndBodyMs()).toBeLessThan(5);
  }
  quick(60_000);
  vi.advanceTimersByTime(3);
  expect(headAndBodyMs()).toBeLessThan(5);
  quick(60_000);
  expect(headAndBodyMs(3)).toBeLessThan(5);
});

test('in the middle of long conversations one body is late, and the next one after far longer only', () => {
  const { quick, headAndBodyMs } = conversation();
  const late = Array.from({ length: 40 }, () => {
    quick(500);
    return headAndBodyMs() >= 40;
  });
  expect(late.indexOf(true)).toBeLessThan(2);
  expect(late.filter(Boolean)).toHaveLength(2);
  quick(60_000);
  expect(vi.getTimerCount()).toBe(0);
});

test('nothing is sent on a connection that has ended', () => {
  const { ack, state } = watched();
  ack.heard();
  ack.close();
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(0);
});
