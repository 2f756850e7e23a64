import { encode } from '../codec/codec.js';
import { shownPart } from '../codec/plain-records.js';
import type { Asker } from '../graph/ports.js';
import type { Timer } from '../kernel/clock.js';
import { RxhiveError, truncate } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import type { OpenQuestion, Question } from '../model/question.js';
import type { AnswerRecord, QuestionRecord } from '../model/record.js';
import { jsonSchemaOf } from '../model/schema.js';
import { textOf } from './answers.js';

/**
 * `known`: in the log, not asked by this process yet. `stale`: known, but it has to be asked anew. `asking`: its record
 * is being written. `settling`: an answer is being checked or written. The last three are ends.
 */
export type QuestionState =
  | 'known'
  | 'stale'
  | 'asking'
  | 'open'
  | 'settling'
  | 'answered'
  | 'expired'
  | 'closed';

/** An answer somebody gave, until it is accepted or refused. */
export interface OfferedAnswer {
  readonly value: unknown;
  readonly done: (error?: RxhiveError) => void;
}

/** An accepted answer; as text, so that each attempt gets a value of its own. */
export interface AcceptedAnswer {
  readonly text: string;
  readonly by: AnswerRecord['by'];
}

/** A question of a run while it goes on. */
export class PendingQuestion {
  readonly id: string;
  record: QuestionRecord;
  /** Prompt and context as text: what a question without a key is known by. */
  content: string;
  state: QuestionState = 'known';
  question: Question | undefined;
  /** The attempt that asked last, and how it is told. */
  source: object | undefined;
  asker: Asker | undefined;
  /** A newer attempt of its task waits for other questions. */
  superseded = false;
  /** First in, first checked; the first stays until it is settled. */
  readonly offers: OfferedAnswer[] = [];
  answer: AcceptedAnswer | undefined;
  /** Its deadline in ms of the clock, which nobody sets, unlike that of the stamp in its record. Infinity: it has none. */
  due: number;
  timer: Timer | undefined;
  /** The attempt that has told the program where to answer. */
  sentBy: object | undefined;

  constructor(record: QuestionRecord, due: number) {
    this.id = record.id;
    this.record = record;
    this.content = textOf(record);
    this.due = due;
  }
}

/** The questions of a run: which is which when a body runs again, and which are open. */
export class QuestionTable {
  readonly #byId = new Map<string, PendingQuestion>();
  readonly #byToken = new Map<string, PendingQuestion>();
  readonly #byTask = new Map<string, PendingQuestion[]>();
  readonly #counts: Partial<Record<QuestionState, number>> = {};
  #open: readonly OpenQuestion[] | undefined;

  /** By its id, or the token of who is to answer. */
  get(id: string): PendingQuestion | undefined {
    return this.#byId.get(id) ?? this.#byToken.get(id);
  }

  get size(): number {
    return this.#byId.size;
  }

  of(taskId: string): readonly PendingQuestion[] {
    return this.#byTask.get(taskId) ?? [];
  }

  all(): Iterable<PendingQuestion> {
    return this.#byId.values();
  }

  count(state: QuestionState): number {
    return this.#counts[state] ?? 0;
  }

  /** What waits for an answer, in the order in which it was asked. */
  get open(): readonly OpenQuestion[] {
    this.#open ??= [...this.#byId.values()].filter(isOpen).map(({ record }) => openQuestionOf(record));
    return this.#open;
  }

  /**
   * The one that a body means: by its key; else the first with the same text that the attempt has not asked yet.
   * @throws RxhiveError INVALID_OPTION for a key used twice
   */
  find({ node, source }: Asker, { options }: Question, content: string): PendingQuestion | undefined {
    const { key } = options;
    if (key === undefined) {
      const fits = (one: PendingQuestion): boolean => one.source !== source && one.content === content;
      return this.of(node.id).find((one) => one.record.key === undefined && fits(one));
    }
    const pending = this.#byId.get(`${node.id}?${key}`);
    if (pending === undefined || pending.source !== source) return pending;
    const message = `Task "${truncate(node.id)}" asks "${truncate(key)}" twice; give each question a key of its own.`;
    throw new RxhiveError('INVALID_OPTION', message, { details: { questionId: pending.id } });
  }

  /** The id of the next question of a task. */
  nextId(taskId: string, key: string | undefined): string {
    return `${taskId}?${key ?? 1 + this.of(taskId).filter(({ record }) => record.key === undefined).length}`;
  }

  add(record: QuestionRecord, due: number): PendingQuestion {
    const pending = new PendingQuestion(record, due);
    this.#byId.set(record.id, pending);
    if (record.token !== undefined) this.#byToken.set(record.token, pending);
    getOrInsert(this.#byTask, record.task, () => []).push(pending);
    return pending;
  }

  /** True when that changes what is open. */
  setState(pending: PendingQuestion, state: QuestionState): boolean {
    const counts = this.#counts;
    counts[pending.state] = (counts[pending.state] ?? 0) - 1;
    counts[state] = (counts[state] ?? 0) + 1;
    const before = isOpen(pending);
    pending.state = state;
    if (before === isOpen(pending)) return false;
    this.#open = undefined;
    return true;
  }

  /** The attempt that waits for `asked` has gone another way than to the questions of the attempts before it. */
  supersede({ record, source }: PendingQuestion): void {
    for (const one of this.of(record.task)) one.superseded = one.source !== source;
    this.#open = undefined;
  }
}

/** A question as its record says it. @throws RxhiveError NOT_SERIALIZABLE */
export function recordOf(
  id: string,
  task: string,
  question: Question,
  at: number,
  token: string | undefined,
): QuestionRecord {
  const { options } = question;
  const schema = jsonSchemaOf(question.schema);
  const { key, deadline, prompt = '', context, default: value } = options;
  const record: QuestionRecord = {
    kind: 'question',
    id,
    task,
    ...(key !== undefined && { key }),
    prompt,
    ...(context !== undefined && { context }),
    ...(schema !== undefined && { schema }),
    at,
    ...(deadline !== undefined && { deadline: at + deadline }),
    ...(token !== undefined && { token }),
  };
  // A default that no log can keep must not turn up only when the deadline has passed.
  encode(value, { name: 'the default of the question' });
  encode(record, { name: (path) => shownPart({}, path) });
  return record;
}

/** A question as people see it. */
export function openQuestionOf({
  id,
  task,
  prompt,
  context,
  schema,
  at,
  deadline,
  token,
}: QuestionRecord): OpenQuestion {
  return {
    id,
    taskId: task,
    prompt,
    ...(context !== undefined && { context }),
    ...(schema !== undefined && { schema }),
    askedAt: at,
    ...(deadline !== undefined && { deadline }),
    ...(token !== undefined && { callback: true as const }),
  };
}

/** One that the newest attempt of its task has asked, or may still ask. */
function isOpen({ state, superseded }: PendingQuestion): boolean {
  return (state === 'open' || state === 'settling') && !superseded;
}
