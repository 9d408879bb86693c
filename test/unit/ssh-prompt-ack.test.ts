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

test('a conversation is left alone, without a timer, until an answer fails to come', () => {
  const { ack, state } = watched();
  for (let round = 0; round < 1_000; round += 1) {
    ack.heard();
    state.sentBytes += 10;
    vi.advanceTimersByTime(0.2);
  }
  expect(vi.getTimerCount()).toBe(0);
  expect(state.acknowledged).toBe(0);

  ack.heard(); // a head …
  ack.heard(); // … and a body behind it
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(1);
});

test('nothing is sent on a connection that has ended', () => {
  const { ack, state } = watched();
  ack.heard();
  ack.close();
  vi.advanceTimersByTime(1_000);
  expect(state.acknowledged).toBe(0);
});
