import { canonical } from '../codec/canonical.js';
import { decode } from '../codec/codec.js';
import { shownPart } from '../codec/plain-records.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import { isToken, type Question, type QuestionOptions } from '../model/question.js';
import { type Validation, validate } from '../model/schema.js';

/** Gives `then` what the schema makes of an answer; later, when the schema is asynchronous. */
export function checkAnswer(
  { schema }: Question,
  answer: unknown,
  then: (found: Validation<unknown>) => void,
): void {
  const threw = (error: unknown): void =>
    then({ issues: [{ path: '', message: String((error as Error)?.message ?? error) }] });
  settleMaybe(() => validate(schema, answer), then, threw);
}

/** Parts of a question, as who asks knows them. */
const questionParts = { prompt: 'the prompt', context: 'the context of the question' };

/**
 * Prompt and context as text: what a question without a key is known by.
 * @throws RxhiveError NOT_SERIALIZABLE
 */
export function textOf({ prompt = '', context }: Pick<QuestionOptions, 'prompt' | 'context'>): string {
  return canonical({ prompt, context }, (path) => shownPart(questionParts, path));
}

/** Undefined when an answer says what the accepted one does. */
export function differenceFrom(
  id: string,
  accepted: { readonly text: string; readonly by: 'person' | 'deadline' },
  value: unknown,
): RxhiveError | undefined {
  try {
    if (canonical(value) === canonical(decode(accepted.text))) return undefined;
  } catch {
    // What cannot be written differs from what was.
  }
  const who = accepted.by === 'person' ? 'was answered' : 'got its default at its deadline';
  const message = `Question "${truncate(id)}" ${who} already, and not with this; an answer cannot be changed.`;
  return new RxhiveError('ALREADY_ANSWERED', message, { details: { questionId: id, by: accepted.by } });
}

export function unknownQuestion(id: string): RxhiveError {
  // A token may be good elsewhere.
  if (isToken(id))
    return new RxhiveError(
      'QUESTION_UNKNOWN',
      'There is no question with this token in this run; take the run that has sent it.',
    );
  const message = `There is no question "${truncate(id)}" in this run; take an id from its open questions.`;
  return new RxhiveError('QUESTION_UNKNOWN', message, { details: { questionId: id } });
}

export function answerClosed(id: string, why: string): RxhiveError {
  const message = `Question "${truncate(id)}" takes no answer: ${why}.`;
  return new RxhiveError('QUESTION_CLOSED', message, { details: { questionId: id } });
}
