import { distinctUntilChanged, firstValueFrom, map, Observable, Subject, startWith } from 'rxjs';
import { canonical } from '../codec/canonical.js';
import { decode, encode, longestRecord } from '../codec/codec.js';
import type { TaskNode } from '../graph/node.js';
import type { Asker, Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import { AnswerRefusedError, type RxhiveError, TaskTimeoutError } from '../kernel/errors.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import { addressOf, type OpenQuestion, type Question } from '../model/question.js';
import type { AnswerRecord, PastQuestion, QuestionRecord } from '../model/record.js';
import type { RunOptions } from '../model/run-options.js';
import { jsonSchemaOf, placesOf } from '../model/schema.js';
import { answerClosed, checkAnswer, differenceFrom, textOf, unknownQuestion } from './answers.js';
import {
  type AcceptedAnswer,
  type OfferedAnswer,
  openQuestionOf,
  type PendingQuestion,
  type QuestionState,
  QuestionTable,
  recordOf,
} from './question-table.js';

/** What the questions of a run are given to work with. */
export interface QuestionPorts {
  readonly clock: Clock;
  readonly watch: Watch;
  readonly log: {
    /** Puts a record into the log; `done` is called when it is durable, or with the reason why it is not. */
    keep(record: QuestionRecord | AnswerRecord, done: (error?: RxhiveError) => void): void;
  };
  /** One is open: all that is left to do may be to wait. */
  waiting(): void;
}

/** What the log says. */
interface PastQuestions {
  readonly questions: ReadonlyMap<string, PastQuestion>;
  /** Tasks that had failed and run again: a deadline they have missed is void. */
  readonly retried: ReadonlySet<string>;
}

/**
 * Questions to people in one run. Each is in the log before anybody sees it, and each answer before its task does, so
 * that a question is asked once and an answer is never lost, whatever runs again.
 */
export class Questions {
  readonly #ports: QuestionPorts;
  readonly #table = new QuestionTable();
  readonly #changes = new Subject<void>();
  /** Answers that came before the log was read; undefined afterwards. */
  #early: [id: string, offer: OfferedAnswer][] | undefined = [];

  constructor(ports: QuestionPorts) {
    this.#ports = ports;
  }

  /** The log has been read. */
  load({ questions = new Map(), retried = new Set() }: Partial<PastQuestions> = {}): void {
    const now = this.#ports.clock.now();
    for (const { record, answer } of questions.values()) {
      const pending = this.#table.add(record, this.#dueOf(record));
      if (answer !== undefined) {
        pending.answer = { text: encode(answer.value), by: answer.by };
        this.#table.setState(pending, 'answered');
      } else if (pending.due <= now && retried.has(record.task)) this.#table.setState(pending, 'stale');
    }
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const [id, offer] of early) this.#offer(id, offer);
  }

  /** {@link Questions.open}, now and after each change. */
  get open$(): Observable<readonly OpenQuestion[]> {
    const changes = this.#changes.pipe(startWith(undefined));
    return changes.pipe(
      map(() => this.open),
      distinctUntilChanged(),
    );
  }

  /** What waits for an answer, in the order in which it was asked. */
  get open(): readonly OpenQuestion[] {
    return this.#table.open;
  }

  /** May a run end that only waits for answers? Something does, and nothing is being written or checked. */
  mayEnd(suspend: RunOptions['suspend'] = 'wait'): boolean {
    if (suspend === 'wait') return false;
    const { open } = this.#table;
    if (open.length === 0) return false;
    if (this.#table.count('asking') + this.#table.count('settling') > 0) return false;
    return suspend === 'exit' || open.every(({ deadline }) => deadline === undefined);
  }

  /**
   * A body asks. Returns how to forget who asked, when the attempt ends.
   * @throws RxhiveError INVALID_OPTION for a key used twice, NOT_SERIALIZABLE for a context that is no plain data
   */
  ask(asker: Asker, question: Question): () => void {
    const content = textOf(question.options);
    const pending = this.#table.find(asker, question, content) ?? this.#new(asker.node.id, question);
    pending.question = question;
    pending.source = asker.source;
    pending.asker = asker;
    if (pending.state === 'answered') this.#reuse(pending, asker);
    else if (pending.state === 'expired') asker.failed(timeoutOf(pending.record));
    else {
      this.#table.supersede(pending);
      asker.waits(pending.id, answererOf(pending));
      this.#goOn(pending, question, content);
    }
    return () => {
      if (pending.asker === asker) pending.asker = undefined;
    };
  }

  /** Somebody answers; the promise tells when the answer is durable, or why it does not count. */
  answer(id: string, value: unknown): Promise<void> {
    return firstValueFrom(
      new Observable<void>((subscriber) => {
        const done = (error?: RxhiveError): void =>
          error === undefined ? subscriber.next() : subscriber.error(error);
        if (this.#early === undefined) this.#offer(id, { value, done });
        else this.#early.push([id, { value, done }]);
      }),
    );
  }

  /** The task has ended: what it has asked needs no answer any more. */
  ended(node: TaskNode): void {
    if (this.#table.size === 0) return;
    for (const pending of this.#table.of(node.id)) this.#closeQuestion(pending, 'its task has ended');
  }

  /** The run has ended; returns what is open where it is `suspended`. */
  runEnded(suspended: boolean): readonly OpenQuestion[] | undefined {
    const left = suspended ? this.open : undefined;
    const why = 'the run has ended; continue it with flow.answer';
    for (const pending of this.#table.all()) this.#closeQuestion(pending, why);
    for (const [id, { done }] of this.#early ?? []) done(answerClosed(id, why));
    this.#early = undefined;
    this.#changes.complete();
    return left;
  }

  #offer(id: string, offer: OfferedAnswer): void {
    const pending = this.#table.get(id);
    if (pending === undefined) offer.done(unknownQuestion(id));
    else {
      pending.offers.push(offer);
      this.#next(pending);
    }
  }

  #new(task: string, question: Question): PendingQuestion {
    const id = this.#table.nextId(task, question.options.key);
    const { clock } = this.#ports;
    const token = question.callback === undefined ? undefined : `rxcb_${clock.secret()}`;
    const record = recordOf(id, task, question, clock.wall(), token);
    const pending = this.#table.add(record, this.#dueOf(record));
    this.#setState(pending, 'stale');
    return pending;
  }

  /** Makes a question that is asked, perhaps again, open. */
  #goOn(pending: PendingQuestion, question: Question, content: string): void {
    const { record, state } = pending;
    const schema = jsonSchemaOf(question.schema);
    const isSame = pending.content === content && canonical(schema) === canonical(record.schema);
    if (state === 'stale') this.#askAnew(pending, question);
    else if (state !== 'known' && state !== 'open') return;
    else if (isSame) this.#opened(pending);
    else {
      // One with a key has another text now, or a new version of the program wants another answer: people must see that.
      const { prompt = '', context } = question.options;
      const { schema: _, ...rest } = record;
      pending.content = content;
      this.#write(pending, { ...rest, prompt, context, ...(schema !== undefined && { schema }) });
    }
  }

  #askAnew(pending: PendingQuestion, question: Question): void {
    pending.content = textOf(question.options);
    const { task, token } = pending.record;
    const record = recordOf(pending.id, task, question, this.#ports.clock.wall(), token);
    pending.due = this.#dueOf(record);
    this.#write(pending, record);
  }

  #dueOf({ deadline }: QuestionRecord): number {
    const { clock } = this.#ports;
    return deadline === undefined ? Number.POSITIVE_INFINITY : clock.now() + deadline - clock.wall();
  }

  /** The question becomes durable, then visible. */
  #write(pending: PendingQuestion, record: QuestionRecord): void {
    pending.record = record;
    this.#setState(pending, 'asking');
    this.#ports.log.keep(record, (error) => {
      if (pending.state !== 'asking') return;
      if (error === undefined) this.#opened(pending);
      else {
        this.#setState(pending, 'stale');
        pending.asker?.failed(error);
      }
    });
  }

  #opened(pending: PendingQuestion): void {
    const { record, state } = pending;
    if (state === 'open') {
      this.#changes.next();
      this.#send(pending);
      return;
    }
    this.#setState(pending, 'open');
    const { clock, watch } = this.#ports;
    if (watch.active) {
      const { id: questionId, askedAt: _, ...facts } = openQuestionOf(record);
      watch.emit({ type: 'question', reason: 'asked', questionId, ...facts });
    }
    clock.cancel(pending.timer);
    if (Number.isFinite(pending.due) && pending.due > clock.now())
      pending.timer = clock.after(pending.due - clock.now(), () => this.#overdue(pending));
    this.#overdue(pending);
    this.#next(pending);
    this.#send(pending);
    this.#ports.waiting();
  }

  /** Tells the program where to answer, once for each attempt that asks. */
  #send(pending: PendingQuestion): void {
    const { record, question, asker, state, source } = pending;
    const { send, url } = question?.callback ?? {};
    const { token } = record;
    if (state !== 'open' || send === undefined || asker === undefined || token === undefined) return;
    if (pending.sentBy === source) return;
    pending.sentBy = source;
    // A part of the body that is called later: what it throws fails the attempt as it is.
    const tell = (): unknown => send(addressOf(token, url));
    const { context } = asker.node.principal;
    settleMaybe(
      () => (context === undefined ? tell() : context.runInAsyncScope(tell)),
      () => undefined,
      (error) => {
        // Whoever answered all the same has been told.
        if (pending.asker !== asker) return;
        pending.asker = undefined;
        asker.failed(error);
      },
    );
  }

  /** Looks at the answers that have come, one after the other. */
  #next(pending: PendingQuestion): void {
    for (let offer = pending.offers[0]; offer !== undefined; offer = pending.offers[0]) {
      const { id, state, answer } = pending;
      if (state === 'open') this.#check(pending, offer);
      else if (state === 'answered')
        this.#reply(pending, offer, differenceFrom(id, answer as AcceptedAnswer, offer.value));
      else if (state === 'expired') this.#reply(pending, offer, answerClosed(id, 'its deadline has passed'));
      else if (state === 'closed') this.#reply(pending, offer, answerClosed(id, 'its task or run has ended'));
      if (pending.state !== state || pending.offers[0] === offer) return;
    }
  }

  #check(pending: PendingQuestion, offer: OfferedAnswer): void {
    let text: string;
    try {
      text = encode(offer.value, { name: 'the answer' });
      // The record is a little longer: too long is for the person to hear, not for the run.
      if (text.length > longestRecord / 2)
        encode({ kind: 'answer', id: pending.id, value: offer.value, by: 'person' } satisfies AnswerRecord, {
          name: 'the answer',
        });
    } catch (error) {
      this.#reply(pending, offer, error as RxhiveError);
      return;
    }
    this.#setState(pending, 'settling');
    checkAnswer(pending.question as Question, decode(text), (found) => {
      if (pending.state !== 'settling') return;
      if ('value' in found) return this.#settle(pending, { text, by: 'person' }, found.value);
      const places = placesOf(found.issues);
      this.#setState(pending, 'open');
      this.#emit(pending, 'refused', places);
      this.#reply(pending, offer, new AnswerRefusedError(pending.id, found.issues, places));
      this.#overdue(pending);
      this.#next(pending);
      this.#ports.waiting();
    });
  }

  /** The answer becomes durable, then its task gets it. */
  #settle(pending: PendingQuestion, answer: AcceptedAnswer, value: unknown): void {
    const { text, by } = answer;
    this.#ports.log.keep({ kind: 'answer', id: pending.id, value: decode(text), by }, (error) => {
      if (pending.state !== 'settling') return;
      if (error !== undefined) {
        this.#setState(pending, 'open');
        if (by === 'person') this.#reply(pending, pending.offers[0], error);
        this.#next(pending);
        return;
      }
      pending.answer = answer;
      this.#setState(pending, 'answered');
      this.#ports.clock.cancel(pending.timer);
      this.#emit(pending, by === 'person' ? 'answered' : 'expired');
      if (by === 'person') this.#reply(pending, pending.offers[0]);
      const { asker } = pending;
      pending.asker = undefined;
      asker?.answered(value);
      this.#next(pending);
    });
  }

  #overdue(pending: PendingQuestion): void {
    const { record, question, state } = pending;
    if (state !== 'open' || pending.due > this.#ports.clock.now()) return;
    const value = question?.options.default;
    if (value !== undefined) {
      const text = encode(value);
      this.#setState(pending, 'settling');
      this.#settle(pending, { text, by: 'deadline' }, decode(text));
    } else {
      this.#setState(pending, 'expired');
      this.#emit(pending, 'expired');
      const { asker } = pending;
      pending.asker = undefined;
      asker?.failed(timeoutOf(record));
      this.#next(pending);
    }
  }

  /** The body runs again: it gets the answer it had, unless that does not fit the schema any more. */
  #reuse(pending: PendingQuestion, asker: Asker): void {
    const { text, by } = pending.answer as AcceptedAnswer;
    if (by === 'deadline') {
      asker.answered(decode(text));
      return;
    }
    const question = pending.question as Question;
    checkAnswer(question, decode(text), (found) => {
      if (pending.asker !== asker) return;
      if ('value' in found) return asker.answered(found.value);
      this.#emit(pending, 'refused', placesOf(found.issues));
      pending.answer = undefined;
      this.#table.supersede(pending);
      asker.waits(pending.id, answererOf(pending));
      this.#askAnew(pending, question);
    });
  }

  #closeQuestion(pending: PendingQuestion, why: string): void {
    const { id, offers, state } = pending;
    if (state === 'answered' || state === 'closed') return;
    this.#ports.clock.cancel(pending.timer);
    if (state !== 'expired') this.#setState(pending, 'closed');
    const reason =
      state === 'known' || state === 'stale' ? `its task has not asked it again, and ${why}` : why;
    for (let offer = offers[0]; offer !== undefined; offer = offers[0])
      this.#reply(pending, offer, answerClosed(id, reason));
  }

  #reply({ offers }: PendingQuestion, offer: OfferedAnswer | undefined, error?: RxhiveError): void {
    if (offer === undefined || offers[0] !== offer) return;
    offers.shift();
    offer.done(error);
  }

  #emit({ id, record }: PendingQuestion, reason: 'answered' | 'refused' | 'expired', because?: string): void {
    const { watch } = this.#ports;
    if (!watch.active) return;
    const more = because === undefined ? {} : { because };
    watch.emit({ type: 'question', reason, taskId: record.task, questionId: id, ...more });
  }

  #setState(pending: PendingQuestion, state: QuestionState): void {
    if (this.#table.setState(pending, state)) this.#changes.next();
  }
}

function timeoutOf({ task, at, deadline = at }: QuestionRecord): TaskTimeoutError {
  return new TaskTimeoutError(task, 'answer', deadline - at);
}

function answererOf({ record }: PendingQuestion): 'people' | 'a program' {
  return record.token === undefined ? 'people' : 'a program';
}
