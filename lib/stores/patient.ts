import type { SchedulerLike } from 'rxjs';
import { Clock } from '../kernel/clock.js';
import { isRxhiveError, messageOf, type RxhiveError } from '../kernel/errors.js';
import { readable } from '../kernel/guard.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import { patient } from '../kernel/patience.js';
import { type RunRow, type RunsQuery, selectRuns } from '../model/run-row.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';
import { reasonOf, storeFailed, systemReason } from '../model/store-failure.js';

/** A store that is asked again while it is busy, and whose errors have a code, whatever it throws. */
export class PatientStore implements CheckpointStore {
  /** It keeps texts at once, but when it is busy. */
  prompt = true;
  readonly #store: CheckpointStore;
  readonly #clock: Clock;

  constructor(store: CheckpointStore, scheduler: SchedulerLike) {
    this.#store = store;
    this.#clock = new Clock({ seed: 0, scheduler });
  }

  open(runId: string): MaybePromise<RunLog> {
    return thenMaybe(
      this.#ask(() => this.#store.open(runId)),
      (log): RunLog => ({
        entries: log.entries,
        append: (entries: readonly LogEntry[], row?: RunRow) => this.#ask(() => log.append(entries, row)),
        replace: (entries: readonly LogEntry[], gone?: readonly string[]) =>
          this.#ask(() => log.replace(entries, gone)),
        close: (row?: RunRow) => this.#ask(() => log.close(row)),
        onLost: (listener) => log.onLost?.(listener),
      }),
    );
  }

  read(runId: string): MaybePromise<readonly LogEntry[]> {
    return this.#ask(() => this.#store.read(runId));
  }

  runs(query: RunsQuery = {}): MaybePromise<readonly StoredRun[]> {
    return thenMaybe(
      this.#ask(() => this.#store.runs(query)),
      (runs) => {
        // One that knows what was asked for has left out all up to this one.
        const { after, ...rest } = query;
        return selectRuns(runs, runs.some(({ runId }) => runId === after) ? query : rest);
      },
    );
  }

  remove(runId: string): MaybePromise<void> {
    return this.#ask(() => this.#store.remove(runId));
  }

  get(key: string): MaybePromise<string | undefined> {
    return this.#ask(() => this.#store.get(key));
  }

  put(key: string, text: string, runId?: string): MaybePromise<void> {
    return this.#ask(() => {
      const answer = this.#store.put(key, text, runId);
      this.prompt = !isPromise(answer);
      return answer;
    });
  }

  #ask<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    const named = (): MaybePromise<T> => {
      let answer: MaybePromise<T>;
      try {
        answer = work();
      } catch (error) {
        throw failureOf(error);
      }
      if (!isPromise(answer)) return answer;
      return answer.then(undefined, (error: unknown) => {
        throw failureOf(error);
      });
    };
    return patient(this.#clock, named, (error) => reasonOf(error) === 'busy');
  }
}

function failureOf(thrown: unknown): RxhiveError {
  if (isRxhiveError(thrown)) return thrown;
  const error = readable(thrown, 'The store');
  return storeFailed('The store', reasonOf(error) ?? systemReason(error), messageOf(error), { cause: error });
}
