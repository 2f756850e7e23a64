import type { SchedulerLike } from 'rxjs';
import { Clock } from '../kernel/clock.js';
import { RxhiveError } from '../kernel/errors.js';
import { after, isLate, type Late } from '../kernel/maybe-promise.js';
import { patient } from '../kernel/patience.js';
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

  open(runId: string): Late<RunLog> {
    return after(
      this.#ask(() => this.#store.open(runId)),
      (log): RunLog => ({
        entries: log.entries,
        append: (entries: readonly LogEntry[]) => this.#ask(() => log.append(entries)),
        replace: (entries: readonly LogEntry[], gone?: readonly string[]) =>
          this.#ask(() => log.replace(entries, gone)),
        close: () => this.#ask(() => log.close()),
        onLost: (listener) => log.onLost?.(listener),
      }),
    );
  }

  read(runId: string): Late<readonly LogEntry[]> {
    return this.#ask(() => this.#store.read(runId));
  }

  runs(): Late<readonly StoredRun[]> {
    return this.#ask(() => this.#store.runs());
  }

  remove(runId: string): Late<void> {
    return this.#ask(() => this.#store.remove(runId));
  }

  get(key: string): Late<string | undefined> {
    return this.#ask(() => this.#store.get(key));
  }

  put(key: string, text: string, runId?: string): Late<void> {
    return this.#ask(() => {
      const answer = this.#store.put(key, text, runId);
      this.prompt = !isLate(answer);
      return answer;
    });
  }

  #ask<T>(work: () => Late<T>): Late<T> {
    const named = (): Late<T> => {
      let answer: Late<T>;
      try {
        answer = work();
      } catch (error) {
        throw failureOf(error);
      }
      if (!isLate(answer)) return answer;
      return answer.then(undefined, (error: unknown) => {
        throw failureOf(error);
      });
    };
    return patient(this.#clock, named, (error) => reasonOf(error) === 'busy');
  }
}

function failureOf(error: unknown): RxhiveError {
  if (error instanceof RxhiveError) return error;
  const said = String((error as Error | undefined)?.message ?? error);
  return storeFailed('The store', reasonOf(error) ?? systemReason(error), said, { cause: error });
}
