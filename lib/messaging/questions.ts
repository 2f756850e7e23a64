import { distinctUntilChanged, firstValueFrom, map, Observable, Subject, startWith } from 'rxjs';
import { canonical } from '../codec/canonical.js';
import { decode, encode } from '../codec/codec.js';
import type { TaskNode } from '../graph/node.js';
import type { Asker, Watch } from '../graph/ports.js';
import type { Clock } from '../kernel/clock.js';
import { AnswerRefusedError, type RxhiveError, TaskTimeoutError } from '../kernel/errors.js';
import type { OpenQuestion, Question } from '../model/question.js';
import type { AnswerRecord, PastQuestion, QuestionRecord } from '../model/record.js';
import type { RunOptions } from '../model/run-options.js';
import { jsonSchemaOf, placesOf } from '../model/schema.js';
import { answerClosed, checkAnswer, differenceFrom, textOf, unknownQuestion } from './answers.js';
import {
  type Answer,
  type Asked,
  AskedQuestions,
  type AskedState,
  type Offer,
  recordOf,
} from './question-table.js';

/** What the questions of a run are given to work with. */
export interface QuestionPorts {
  readonly clock: Clock;
  readonly watch: Watch;
  /** Puts a record into the log; `done` is called when it is durable, or with the reason why it is not. */
  keep(record: QuestionRecord | AnswerRecord, done: (error?: RxhiveError) => void): void;
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
  readonly #asked = new AskedQuestions();
  readonly #changes = new Subject<void>();
  /** Answers that came before the log was read; undefined afterwards. */
  #early: [id: string, offer: Offer][] | undefined = [];

  constructor(ports: QuestionPorts) {
    this.#ports = ports;
  }

  /** The log has been read. */
  load({ questions = new Map(), retried = new Set() }: Partial<PastQuestions> = {}): void {
    const now = this.#ports.clock.now();
    for (const { record, answer } of questions.values()) {
      const asked = this.#asked.add(record, this.#dueOf(record));
      if (answer !== undefined) {
        asked.answer = { text: encode(answer.value), by: answer.by };
        this.#asked.enter(asked, 'answered');
      } else if (asked.due <= now && retried.has(record.task)) this.#asked.enter(asked, 'stale');
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
    return this.#asked.open;
  }

  /** May a run end that only waits for answers? Something does, and nothing is being written or checked. */
  mayEnd(suspend: RunOptions['suspend'] = 'wait'): boolean {
    const { open } = this.#asked;
    if (suspend === 'wait' || open.length === 0) return false;
    if (this.#asked.count('asking') + this.#asked.count('settling') > 0) return false;
    return suspend === 'exit' || open.every(({ deadline }) => deadline === undefined);
  }

  /**
   * A body asks. Returns how to forget who asked, when the attempt ends.
   * @throws RxhiveError INVALID_OPTION for a key used twice, NOT_SERIALIZABLE for a context that is no plain data
   */
  ask(asker: Asker, question: Question): () => void {
    const content = textOf(question.options);
    const asked = this.#asked.find(asker, question, content) ?? this.#new(asker.node.id, question);
    asked.question = question;
    asked.source = asker.source;
    asked.asker = asker;
    if (asked.state === 'answered') this.#reuse(asked, asker);
    else if (asked.state === 'expired') asker.failed(timeoutOf(asked.record));
    else {
      this.#asked.supersede(asked);
      asker.waits(asked.id);
      this.#goOn(asked, question, content);
    }
    return () => {
      if (asked.asker === asker) asked.asker = undefined;
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
    if (this.#asked.size === 0) return;
    for (const asked of this.#asked.of(node.id)) this.#close(asked, 'its task has ended');
  }

  /** The run has ended; returns what is open where it is `suspended`. */
  end(suspended: boolean): readonly OpenQuestion[] | undefined {
    const left = suspended ? this.open : undefined;
    const why = 'the run has ended; continue it with flow.answer';
    for (const asked of this.#asked.all()) this.#close(asked, why);
    for (const [id, { done }] of this.#early ?? []) done(answerClosed(id, why));
    this.#early = undefined;
    this.#changes.complete();
    return left;
  }

  #offer(id: string, offer: Offer): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) offer.done(unknownQuestion(id));
    else {
      asked.offers.push(offer);
      this.#next(asked);
    }
  }

  #new(task: string, question: Question): Asked {
    const id = this.#asked.nextId(task, question.options.key);
    const record = recordOf(id, task, question, this.#ports.clock.wall());
    const asked = this.#asked.add(record, this.#dueOf(record));
    this.#enter(asked, 'stale');
    return asked;
  }

  /** Makes a question that is asked, perhaps again, open. */
  #goOn(asked: Asked, question: Question, content: string): void {
    const { record, state } = asked;
    const schema = jsonSchemaOf(question.schema);
    const isSame = asked.content === content && canonical(schema) === canonical(record.schema);
    if (state === 'stale') this.#askAnew(asked, question);
    else if (state !== 'known' && state !== 'open') return;
    else if (isSame) this.#opened(asked);
    else {
      // One with a key has another text now, or a new version of the program wants another answer: people must see that.
      const { prompt = '', context } = question.options;
      const { schema: _, ...rest } = record;
      asked.content = content;
      this.#write(asked, { ...rest, prompt, context, ...(schema !== undefined && { schema }) });
    }
  }

  #askAnew(asked: Asked, question: Question): void {
    asked.content = textOf(question.options);
    const record = recordOf(asked.id, asked.record.task, question, this.#ports.clock.wall());
    asked.due = this.#dueOf(record);
    this.#write(asked, record);
  }

  #dueOf({ deadline }: QuestionRecord): number {
    const { clock } = this.#ports;
    return deadline === undefined ? Number.POSITIVE_INFINITY : clock.now() + deadline - clock.wall();
  }

  /** The question becomes durable, then visible. */
  #write(asked: Asked, record: QuestionRecord): void {
    asked.record = record;
    this.#enter(asked, 'asking');
    this.#ports.keep(record, (error) => {
      if (asked.state !== 'asking') return;
      if (error === undefined) this.#opened(asked);
      else {
        this.#enter(asked, 'stale');
        asked.asker?.failed(error);
      }
    });
  }

  #opened(asked: Asked): void {
    const { id, record, state } = asked;
    if (state === 'open') {
      this.#changes.next();
      return;
    }
    this.#enter(asked, 'open');
    const { clock, watch } = this.#ports;
    const { task, prompt, context, schema, deadline } = record;
    if (watch.active) {
      const more = {
        ...(context !== undefined && { context }),
        ...(schema !== undefined && { schema }),
        ...(deadline !== undefined && { deadline }),
      };
      watch.emit({ type: 'question', reason: 'asked', taskId: task, questionId: id, prompt, ...more });
    }
    clock.cancel(asked.timer);
    if (Number.isFinite(asked.due) && asked.due > clock.now())
      asked.timer = clock.after(asked.due - clock.now(), () => this.#overdue(asked));
    this.#overdue(asked);
    this.#next(asked);
    this.#ports.waiting();
  }

  /** Looks at the answers that have come, one after the other. */
  #next(asked: Asked): void {
    for (let offer = asked.offers[0]; offer !== undefined; offer = asked.offers[0]) {
      const { id, state, answer } = asked;
      if (state === 'open') this.#check(asked, offer);
      else if (state === 'answered')
        this.#reply(asked, offer, differenceFrom(id, answer as Answer, offer.value));
      else if (state === 'expired') this.#reply(asked, offer, answerClosed(id, 'its deadline has passed'));
      else if (state === 'closed') this.#reply(asked, offer, answerClosed(id, 'its task or run has ended'));
      if (asked.state !== state || asked.offers[0] === offer) return;
    }
  }

  #check(asked: Asked, offer: Offer): void {
    let text: string;
    try {
      text = encode(offer.value, { name: 'the answer' });
      // The record is a little longer: too long is for the person to hear, not for the run.
      encode({ kind: 'answer', id: asked.id, value: offer.value, by: 'person' } satisfies AnswerRecord, {
        name: 'the answer',
      });
    } catch (error) {
      this.#reply(asked, offer, error as RxhiveError);
      return;
    }
    this.#enter(asked, 'settling');
    checkAnswer(asked.question as Question, decode(text), (found) => {
      if (asked.state !== 'settling') return;
      if ('value' in found) return this.#settle(asked, { text, by: 'person' }, found.value);
      const places = placesOf(found.issues);
      this.#enter(asked, 'open');
      this.#tell(asked, 'refused', places);
      this.#reply(asked, offer, new AnswerRefusedError(asked.id, found.issues, places));
      this.#overdue(asked);
      this.#next(asked);
      this.#ports.waiting();
    });
  }

  /** The answer becomes durable, then its task gets it. */
  #settle(asked: Asked, answer: Answer, value: unknown): void {
    const { text, by } = answer;
    this.#ports.keep({ kind: 'answer', id: asked.id, value: decode(text), by }, (error) => {
      if (asked.state !== 'settling') return;
      if (error !== undefined) {
        this.#enter(asked, 'open');
        if (by === 'person') this.#reply(asked, asked.offers[0], error);
        this.#next(asked);
        return;
      }
      asked.answer = answer;
      this.#enter(asked, 'answered');
      this.#ports.clock.cancel(asked.timer);
      this.#tell(asked, by === 'person' ? 'answered' : 'expired');
      if (by === 'person') this.#reply(asked, asked.offers[0]);
      const { asker } = asked;
      asked.asker = undefined;
      asker?.answered(value);
      this.#next(asked);
    });
  }

  #overdue(asked: Asked): void {
    const { record, question, state } = asked;
    if (state !== 'open' || asked.due > this.#ports.clock.now()) return;
    const value = question?.options.default;
    if (value !== undefined) {
      const text = encode(value);
      this.#enter(asked, 'settling');
      this.#settle(asked, { text, by: 'deadline' }, decode(text));
    } else {
      this.#enter(asked, 'expired');
      this.#tell(asked, 'expired');
      const { asker } = asked;
      asked.asker = undefined;
      asker?.failed(timeoutOf(record));
      this.#next(asked);
    }
  }

  /** The body runs again: it gets the answer it had, unless that does not fit the schema any more. */
  #reuse(asked: Asked, asker: Asker): void {
    const { text, by } = asked.answer as Answer;
    if (by === 'deadline') {
      asker.answered(decode(text));
      return;
    }
    const question = asked.question as Question;
    checkAnswer(question, decode(text), (found) => {
      if (asked.asker !== asker) return;
      if ('value' in found) return asker.answered(found.value);
      this.#tell(asked, 'refused', placesOf(found.issues));
      asked.answer = undefined;
      this.#asked.supersede(asked);
      asker.waits(asked.id);
      this.#askAnew(asked, question);
    });
  }

  #close(asked: Asked, why: string): void {
    const { id, offers, state } = asked;
    if (state === 'answered' || state === 'closed') return;
    this.#ports.clock.cancel(asked.timer);
    if (state !== 'expired') this.#enter(asked, 'closed');
    const reason =
      state === 'known' || state === 'stale' ? `its task has not asked it again, and ${why}` : why;
    for (let offer = offers[0]; offer !== undefined; offer = offers[0])
      this.#reply(asked, offer, answerClosed(id, reason));
  }

  #reply({ offers }: Asked, offer: Offer | undefined, error?: RxhiveError): void {
    if (offer === undefined || offers[0] !== offer) return;
    offers.shift();
    offer.done(error);
  }

  #tell({ id, record }: Asked, reason: 'answered' | 'refused' | 'expired', because?: string): void {
    const { watch } = this.#ports;
    if (!watch.active) return;
    const more = because === undefined ? {} : { because };
    watch.emit({ type: 'question', reason, taskId: record.task, questionId: id, ...more });
  }

  #enter(asked: Asked, state: AskedState): void {
    if (this.#asked.enter(asked, state)) this.#changes.next();
  }
}

function timeoutOf({ task, at, deadline = at }: QuestionRecord): TaskTimeoutError {
  return new TaskTimeoutError(task, 'answer', deadline - at);
}
