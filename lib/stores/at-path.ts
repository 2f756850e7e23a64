import { RxhiveError, shown } from '../kernel/errors.js';
import type { Late } from '../kernel/late.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';

type Opened = CheckpointStore & { close(): Late<void> };

/**
 * A store named by a path or an address. Its module and its driver are loaded when it is used for the first time, so
 * that who uses none needs none; it is open as long as somebody uses it.
 */
class StoreAtPath implements CheckpointStore {
  readonly #path: string;
  #opened: Promise<Opened> | undefined;
  #users = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async open(runId: string): Promise<RunLog> {
    const store = await this.#enter();
    try {
      const log = await store.open(runId);
      let closed: Promise<void> | undefined;
      return {
        entries: log.entries,
        append: (entries: readonly LogEntry[]) => log.append(entries),
        replace: (entries: readonly LogEntry[], gone?: readonly string[]) => log.replace(entries, gone),
        close: () => {
          closed ??= this.#closeLog(log);
          return closed;
        },
      };
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  read(runId: string): Promise<readonly LogEntry[]> {
    return this.#use((store) => store.read(runId));
  }

  runs(): Promise<readonly StoredRun[]> {
    return this.#use((store) => store.runs());
  }

  remove(runId: string): Promise<void> {
    return this.#use((store) => store.remove(runId));
  }

  get(key: string): Promise<string | undefined> {
    return this.#use((store) => store.get(key));
  }

  put(key: string, text: string, runId?: string): Promise<void> {
    return this.#use((store) => store.put(key, text, runId));
  }

  async #closeLog(log: RunLog): Promise<void> {
    try {
      await log.close();
    } finally {
      await this.#leave();
    }
  }

  async #use<T>(work: (store: Opened) => Late<T>): Promise<T> {
    const store = await this.#enter();
    try {
      return await work(store);
    } finally {
      await this.#leave();
    }
  }

  async #enter(): Promise<Opened> {
    this.#users += 1;
    this.#opened ??= load(this.#path);
    try {
      return await this.#opened;
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  async #leave(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.then(
      (store) => store.close(),
      () => undefined,
    );
  }
}

async function load(path: string): Promise<Opened> {
  return isPostgres(path)
    ? (await import('./postgres.js')).postgres(path)
    : (await import('./sqlite.js')).sqlite(path);
}

function isPostgres(path: string): boolean {
  return /^postgres(ql)?:\/\//.test(path);
}

/** One object for a path, so that runs that use it at once share results that are on their way. */
const known = new Map<string, StoreAtPath>();

/**
 * The store that an option means: a store itself, the file of a SQLite database, or the address of a PostgreSQL one.
 * @throws RxhiveError INVALID_OPTION
 */
export function storeAt(store: CheckpointStore | string): CheckpointStore {
  if (typeof store === 'object' && store !== null && typeof store.open === 'function') return store;
  // An address may hold a password: it is not shown.
  const address = typeof store === 'string' && /^[a-z][a-z0-9+.-]+:\/\//i.test(store);
  if (typeof store !== 'string' || store === '' || store === ':memory:' || (address && !isPostgres(store))) {
    const what = address ? 'an address of another kind' : shown(store);
    const message = `store is ${what}; give a store, the path of a file, postgres://..., or memory() for none.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  const found = known.get(store) ?? new StoreAtPath(store);
  known.set(store, found);
  return found;
}
