import { describe, expect, test } from 'vitest';
import type { Question } from '../../src/link/ask.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { OpenQuestion } from '../../src/model/request.ts';
import { ANSWER_WITHIN_MS, Questions, type Attendant } from '../../src/supervisor/questions.ts';
import { FakeClock } from '../support/fake-clock.ts';

const question: Question = {
  kind: 'passphrase',
  subject: 'alice@pop.example.org:22',
  prompt: 'Passphrase for ~/.ssh/id_mail:',
  detail: '',
  echo: false,
};

class Person implements Attendant {
  readonly asked: OpenQuestion[] = [];
  readonly withdrawnIds: string[] = [];

  ask(shown: OpenQuestion): void {
    this.asked.push(shown);
  }

  withdrawn(id: string): void {
    this.withdrawnIds.push(id);
  }

  get lastId(): string {
    return this.asked.at(-1)?.id ?? 'nothing was asked';
  }
}

function stage(): {
  clock: FakeClock;
  questions: Questions;
  changed: string[];
  ask: (signal?: AbortSignal) => Promise<string>;
} {
  const clock = new FakeClock();
  const changed: string[] = [];
  const questions = new Questions(clock, (tunnel) => changed.push(tunnel));
  const ask = async (signal = new AbortController().signal): Promise<string> => {
    try {
      return (await questions.ask('mail', question, signal)).reveal();
    } catch (error) {
      return error instanceof TunnelError ? error.code : String(error);
    }
  };
  return { clock, questions, changed, ask };
}

describe('questions to people', () => {
  test('a question is refused at once where nobody attends that tunnel', async () => {
    const { questions, ask } = stage();
    questions.attend(['web'], new Person());
    expect(await ask()).toBe('NEEDS_PERSON');
  });

  test('the first answer counts, and the question is withdrawn from the others', async () => {
    const { questions, ask, changed } = stage();
    const [one, two, stranger] = [new Person(), new Person(), new Person()];
    questions.attend(['mail'], one);
    questions.attend(null, two);
    questions.attend(['web'], stranger);
    const answer = ask();
    const { lastId } = two;
    expect(one.asked).toEqual([{ id: lastId, tunnel: 'mail', ...question }]);
    expect(questions.openCount('mail')).toBe(1);
    expect([questions.answer(lastId, 'sesame', two), questions.answer(lastId, 'late', one)]).toEqual([true, false]);
    expect(await answer).toBe('sesame');
    expect([one.withdrawnIds, two.withdrawnIds, stranger.asked]).toEqual([[lastId], [], []]);
    expect([questions.openCount('mail'), changed]).toEqual([0, ['mail', 'mail']]);
  });

  test('somebody who comes later sees the question that is open', async () => {
    const { questions, ask } = stage();
    const [first, later] = [new Person(), new Person()];
    questions.attend(null, first);
    const answer = ask();
    questions.attend(['mail'], later);
    questions.attend(['mail', 'web'], later); // attending more does not ask twice
    expect(later.asked).toEqual(first.asked);
    questions.answer(later.lastId, 'sesame', later);
    expect(await answer).toBe('sesame');
  });

  test('it stays open until everybody has declined', async () => {
    const { questions, ask } = stage();
    const [one, two] = [new Person(), new Person()];
    questions.attend(null, one);
    questions.attend(null, two);
    const answer = ask();
    questions.decline(one.lastId, one);
    expect(questions.openCount('mail')).toBe(1);
    questions.decline(two.lastId, two);
    expect(await answer).toBe('NEEDS_PERSON');
    expect([one.withdrawnIds, two.withdrawnIds]).toEqual([[], []]);
  });

  test('it is given up when the last person leaves in the middle of it', async () => {
    const { questions, ask } = stage();
    const person = new Person();
    questions.attend(null, person);
    const answer = ask();
    questions.detach(person);
    questions.detach(person);
    expect([await answer, person.withdrawnIds, questions.attended('mail')]).toEqual(['NEEDS_PERSON', [], false]);
  });

  test('it is given up before the server ends the login', async () => {
    const { clock, questions, ask } = stage();
    const person = new Person();
    questions.attend(null, person);
    const answer = ask();
    await clock.advance(ANSWER_WITHIN_MS - 1);
    expect(questions.open).toHaveLength(1);
    await clock.advance(1);
    expect([await answer, person.withdrawnIds, clock.pending]).toEqual(['NEEDS_PERSON', [person.lastId], 0]);
    expect(ANSWER_WITHIN_MS).toBeLessThan(120_000);
  });

  test('it is withdrawn everywhere when the login ends first, and no timer is left', async () => {
    const { clock, questions, ask } = stage();
    const person = new Person();
    questions.attend(null, person);
    const login = new AbortController();
    const answer = ask(login.signal);
    login.abort(new TunnelError('CONNECTION_LOST', 'Lost'));
    expect([await answer, person.withdrawnIds, clock.pending]).toEqual(['CONNECTION_LOST', [person.lastId], 0]);
    expect(await ask(login.signal)).toBe('CONNECTION_LOST');
  });

  test('a terminal that cannot be written to is taken for gone, and the others are asked', async () => {
    const { questions, ask } = stage();
    const broken: Attendant = {
      ask: () => {
        throw new Error('EPIPE');
      },
      withdrawn: () => undefined,
    };
    questions.attend(null, broken);
    const person = new Person();
    questions.attend(null, person);
    const answer = ask();
    questions.answer(person.lastId, 'sesame', person);
    expect([await answer, questions.attended('mail')]).toEqual(['sesame', true]);
    questions.detach(person);
    expect(questions.attended('mail')).toBe(false);
  });

  test('a question whose only terminal is broken does not hang', async () => {
    const { questions, ask } = stage();
    questions.attend(null, {
      ask: () => {
        throw new Error('EPIPE');
      },
      withdrawn: () => undefined,
    });
    expect(await ask()).toBe('NEEDS_PERSON');
  });

  test('somebody who declined is not asked the same question again', async () => {
    const { questions, ask } = stage();
    const [one, two] = [new Person(), new Person()];
    questions.attend(null, one);
    questions.attend(null, two);
    const answer = ask();
    questions.decline(one.lastId, one);
    questions.attend(['mail'], one);
    expect(one.asked).toHaveLength(1);
    questions.answer(two.lastId, 'sesame');
    expect(await answer).toBe('sesame');
  });
});
