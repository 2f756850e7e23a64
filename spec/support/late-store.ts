import type { SchedulerLike } from 'rxjs';
import type { LogEntry, MemoryStore, RunLog, StoredRun } from '../../lib/entry/stores.js';
import { type CheckpointStore, memory } from '../../lib/index.js';
import type { MaybePromise } from '../../lib/kernel/maybe-promise.js';
import type { RunRow, RunsQuery } from '../../lib/model/run-row.js';

/** One call of a {@link LateStore} that has not been answered. */
interface Call {
  readonly what: string;
  answer(error?: unknown): void;
}

/** A memory store whose every answer comes when the test says so, or by itself after some turns. */
export class LateStore implements CheckpointStore {
  readonly inner: MemoryStore;
  /** Calls that wait for their answer. */
  readonly calls: Call[] = [];
  /** Everything that was asked, in order. */
  readonly asked: string[] = [];
  /** Answers calls by itself: given what was asked, the ms it takes, or in the call itself; undefined holds it. */
  auto: (what: string) => number | 'at once' | undefined = () => undefined;
  /** Lets ms pass before an answer. */
  readonly #wait: (work: () => void, ms: number) => void;

  constructor(inner = memory(), scheduler?: SchedulerLike) {
    this.inner = inner;
    this.#wait = (work, ms) => void (scheduler?.schedule(work, ms) ?? setTimeout(work, ms));
  }

  open(runId: string): MaybePromise<RunLog> {
    return this.#call('open', () => {
      const log = this.inner.open(runId);
      return {
        entries: log.entries,
        append: (entries: readonly LogEntry[], row?: RunRow) =>
          this.#call(`append ${entries.map(({ seq }) => seq).join(' ')}`, () => log.append(entries, row)),
        replace: (entries: readonly LogEntry[], gone?: readonly string[]) =>
          this.#call(`replace ${entries.length}`, () => log.replace(entries, gone)),
        close: (row?: RunRow) => this.#call('close', () => log.close(row)),
      };
    });
  }

  read(runId: string): MaybePromise<readonly LogEntry[]> {
    return this.#call('read', () => this.inner.read(runId));
  }

  runs(query?: RunsQuery): MaybePromise<readonly StoredRun[]> {
    return this.#call('runs', () => this.inner.runs(query));
  }

  remove(runId: string): MaybePromise<void> {
    return this.#call('remove', () => this.inner.remove(runId));
  }

  get(key: string): MaybePromise<string | undefined> {
    // What durations were learnt is asked beside everything else.
    if (key.startsWith('durations ')) return this.inner.get(key);
    return this.#call('get', () => this.inner.get(key));
  }

  put(key: string, text: string, runId?: string): MaybePromise<void> {
    if (key.startsWith('durations ')) return this.inner.put(key, text);
    return this.#call('put', () => this.inner.put(key, text, runId));
  }

  /** Answers the oldest call that waits, which must be `what`; what follows from it has happened on return. */
  async answer(what: string, error?: unknown): Promise<void> {
    const call = this.calls.shift();
    if (call === undefined || !call.what.startsWith(what))
      throw new Error(`waits for ${call?.what ?? 'nothing'}, not ${what}`);
    call.answer(error);
    await turn();
  }

  #call<T>(what: string, work: () => MaybePromise<T>): MaybePromise<T> {
    this.asked.push(what);
    const ms = this.auto(what);
    if (ms === 'at once') return work();
    return new Promise((done, failed) => {
      const answer = (error?: unknown): void => {
        if (error !== undefined) failed(error);
        else
          try {
            done(work());
          } catch (problem) {
            failed(problem);
          }
      };
      if (ms === undefined) this.calls.push({ what, answer });
      else this.#wait(answer, ms);
    });
  }
}

/** A few turns of the event loop: all promises and short timers are through. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((done) => setTimeout(done, 1));
}
