import { createRequire } from 'node:module';
import { RxhiveError } from '../kernel/errors.js';

// The parts of bullmq, ioredis and pg that are called: their own types do not compile in every strict project.

/** A job as it is kept. */
export interface BullJob<D = unknown> {
  readonly id: string;
  readonly name: string;
  readonly data: D;
  readonly returnvalue: unknown;
  readonly failedReason?: string;
  readonly finishedOn?: number;
  /** Name of the worker that has it. */
  readonly processedBy?: string;
  getState(): Promise<string>;
  updateData(data: D): Promise<void>;
  changePriority(options: { readonly priority: number }): Promise<void>;
}

interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(force?: boolean): Promise<void>;
}

export interface BullQueue<D = unknown> extends Emitter {
  add(name: string, data: D, options: object): Promise<BullJob<D>>;
  getJob(id: string): Promise<BullJob<D> | undefined>;
  /** 1: it is gone; 0: it cannot be removed, for a worker has it. */
  remove(id: string): Promise<number>;
  getWorkers(): Promise<readonly { readonly rawname?: string }[]>;
  obliterate(options: { readonly force: boolean }): Promise<void>;
  getBackend(): {
    /** Ids of those that could not be extended. */
    extendLocks(ids: readonly string[], tokens: readonly string[], ms: number): Promise<readonly string[]>;
  };
}

export interface BullWorker extends Emitter {
  pause(withoutWaiting?: boolean): Promise<void>;
  startStalledCheckTimer(): Promise<void>;
}

export interface BullEvents extends Emitter {}

/** What of `Redis` of ioredis is called. */
export interface RedisClient {
  readonly status: string;
  on(event: string, listener: (...args: never[]) => void): unknown;
  config(verb: 'GET', name: string): Promise<unknown>;
  info(section: string): Promise<string>;
  scan(cursor: string, ...args: unknown[]): Promise<[string, string[]]>;
  ping(): Promise<unknown>;
  disconnect(): void;
}

/** What of `Pool` of pg is called. */
export interface Pool {
  readonly options: unknown;
  on(event: string, listener: (...args: never[]) => void): unknown;
  query(text: string, values?: unknown[]): Promise<QueryAnswer>;
  connect(): Promise<PoolClient>;
  end(): Promise<void>;
}

export interface QueryAnswer {
  readonly rows: Record<string, unknown>[];
}

export interface PoolClient {
  query(text: string): Promise<unknown>;
  release(): void;
}

/** What of a backend of BullMQ on PostgreSQL is replaced. */
export interface PostgresBackend {
  readonly connection: { waitUntilReady(): Promise<unknown> };
  moveStalledJobsToWait(): Promise<readonly string[]>;
}

interface Bullmq {
  readonly Queue: new (name: string, options: object, backend?: unknown) => BullQueue<never>;
  readonly Worker: new (
    name: string,
    processor: ((job: BullJob<never>, token: string) => Promise<unknown>) | null,
    options: object,
    backend?: unknown,
  ) => BullWorker;
  readonly QueueEvents: new (name: string, options: object, backend?: unknown) => BullEvents;
  createPostgresBackend(
    queue: string,
    options: { readonly lockDuration?: number },
    more: unknown,
  ): PostgresBackend;
  runMigrations(client: unknown, schema: string): Promise<number>;
  /** Throws where tables are missing or of another version, or the server is too old. */
  assertSchemaCompatibility(client: unknown, schema: string): Promise<unknown>;
}

const load = createRequire(import.meta.url);

export function bullmqClasses(): Bullmq {
  return loaded('bullmq') as Bullmq;
}

export function redisClass(): new (...args: unknown[]) => RedisClient {
  const found = loaded('ioredis') as { readonly Redis?: unknown; readonly default?: unknown };
  return (found.Redis ?? found.default ?? found) as new (
    ...args: unknown[]
  ) => RedisClient;
}

export function poolClass(): new (options: object) => Pool {
  return (loaded('pg') as { readonly Pool: new (options: object) => Pool }).Pool;
}

function loaded(name: string): unknown {
  try {
    return load(name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
    throw new RxhiveError('INVALID_OPTION', `rxhive/bullmq needs ${name}: run npm install ${name}.`, {
      cause,
    });
  }
}
