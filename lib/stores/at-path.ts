import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { isPromise, type MaybePromise, thenMaybe } from '../kernel/maybe-promise.js';
import type { RunRow, RunsQuery } from '../model/run-row.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';
import { PatientStore } from './patient.js';

type Opened = CheckpointStore & { close(): MaybePromise<void> };

/**
 * A store named by a path or an address. Its module and its driver are loaded when it is used for the first time, so
 * that who uses none needs none; it is open as long as somebody uses it.
 */
class StoreAtPath implements CheckpointStore {
  readonly #path: string;
  #opened: Opened | undefined;
  #users = 0;

  constructor(path: string) {
    this.#path = path;
  }

  open(runId: string): MaybePromise<RunLog> {
    return this.#enter((store, leave) =>
      ending(
        () => store.open(runId),
        (log): RunLog => {
          let closed: { readonly answer: MaybePromise<void> } | undefined;
          return {
            entries: log.entries,
            append: (entries: readonly LogEntry[], row?: RunRow) => log.append(entries, row),
            replace: (entries: readonly LogEntry[], gone?: readonly string[]) => log.replace(entries, gone),
            close: (row?: RunRow) => {
              closed ??= { answer: ending(() => log.close(row), leave, failing(leave)) };
              return closed.answer;
            },
            onLost: (listener) => log.onLost?.(listener),
          };
        },
        failing(leave),
      ),
    );
  }

  read(runId: string): MaybePromise<readonly LogEntry[]> {
    return this.#use((store) => store.read(runId));
  }

  runs(query?: RunsQuery): MaybePromise<readonly StoredRun[]> {
    return this.#use((store) => store.runs(query));
  }

  remove(runId: string): MaybePromise<void> {
    return this.#use((store) => store.remove(runId));
  }

  get(key: string): MaybePromise<string | undefined> {
    return this.#use((store) => store.get(key));
  }

  put(key: string, text: string, runId?: string): MaybePromise<void> {
    return this.#use((store) => store.put(key, text, runId));
  }

  /** Calls `work` with the store, and closes that behind it unless somebody else uses it. */
  #use<T>(work: (store: Opened) => MaybePromise<T>): MaybePromise<T> {
    return this.#enter((store, leave) =>
      ending(
        () => work(store),
        (value) => thenMaybe(leave(), () => value),
        failing(leave),
      ),
    );
  }

  /** Calls `work` with the store, at once where its module was loaded before; it stays open until `leave` is called. */
  #enter<T>(work: (store: Opened, leave: () => MaybePromise<void>) => MaybePromise<T>): MaybePromise<T> {
    const make = isPostgres(this.#path) ? makers.postgres : makers.sqlite;
    if (make === undefined) return load(this.#path).then(() => this.#enter(work));
    const store = this.#opened ?? make(this.#path);
    this.#opened = store;
    this.#users += 1;
    return work(store, () => {
      this.#users -= 1;
      if (this.#users > 0) return undefined;
      this.#opened = undefined;
      return store.close();
    });
  }
}

/** Goes on with what comes of `work`, at once where it is there. */
function ending<T, R>(
  work: () => MaybePromise<T>,
  done: (value: T) => MaybePromise<R>,
  failed: (error: unknown) => MaybePromise<R>,
): MaybePromise<R> {
  let answer: MaybePromise<T>;
  try {
    answer = work();
  } catch (error) {
    return failed(error);
  }
  return isPromise(answer) ? answer.then(done, failed) : done(answer);
}

function failing(leave: () => MaybePromise<void>): (error: unknown) => MaybePromise<never> {
  return (error) =>
    thenMaybe(leave(), () => {
      throw error;
    });
}

type Make = (path: string) => Opened;

/** What makes a store of either kind, once it was loaded. */
const makers: { postgres?: Make; sqlite?: Make } = {};

async function load(path: string): Promise<void> {
  if (isPostgres(path)) makers.postgres = (await import('./postgres.js')).postgres;
  else makers.sqlite = (await import('./sqlite.js')).sqlite;
}

function isPostgres(path: string): boolean {
  return /^postgres(ql)?:\/\//.test(path);
}

/** One object for a path, so that runs that use it at once share results that are on their way. */
const known = new Map<string, StoreAtPath>();

/**
 * The store that an option means: a store itself, the file of a SQLite database, or the address of a PostgreSQL one. It is asked
 * again while it is busy, as `scheduler` counts time.
 * @throws RxhiveError INVALID_OPTION
 */
export function storeAt(store: CheckpointStore | string, scheduler?: SchedulerLike): PatientStore {
  if (store instanceof PatientStore) return store;
  if (typeof store === 'object' && store !== null && typeof store.open === 'function')
    return patiently(store, scheduler);
  // An address may hold a password: it is not shown.
  const address = typeof store === 'string' && /^[a-z][a-z0-9+.-]+:\/\//i.test(store);
  if (typeof store !== 'string' || store === '' || store === ':memory:' || (address && !isPostgres(store))) {
    const what = address ? 'an address of another kind' : inspect(store);
    const message = `store is ${what}; give a store, the path of a file, postgres://..., or memory() for none.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  const found = getOrInsert(known, store, () => new StoreAtPath(store));
  return patiently(found, scheduler);
}

/** One object for a store and a source of time, too. */
const patients = new WeakMap<object, WeakMap<CheckpointStore, PatientStore>>();

function patiently(store: CheckpointStore, scheduler: SchedulerLike = asyncScheduler): PatientStore {
  const ofScheduler = getOrInsert(patients, scheduler, () => new WeakMap());
  const found = getOrInsert(ofScheduler, store, () => new PatientStore(store, scheduler));
  return found;
}
