import { createRequire } from 'node:module';
import { brief, CheckpointCorruptError, RxhiveError } from '../kernel/errors.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';
import { chained, type Row, startOf, sumOf, verified, verifiedText } from './chain.js';
import { heldBy, isDead, leaseMs, newOwner, takenOver } from './lease.js';

interface Statement {
  run(...values: unknown[]): { changes: number | bigint };
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
}

/** The part that node:sqlite, libsql and better-sqlite3 have in common. */
interface Database {
  exec(sql: string): unknown;
  prepare(sql: string): Statement;
  close(): void;
}

/** "rxhv": marks a file as ours. */
const applicationId = 0x72786876;
const load = createRequire(import.meta.url);

function connect(file: string): Database {
  const drivers: [string, string][] = [
    ['node:sqlite', 'DatabaseSync'],
    ['libsql', 'default'],
    ['better-sqlite3', 'default'],
  ];
  for (const [name, member] of drivers) {
    let found: Record<string, unknown>;
    try {
      found = load(name) as Record<string, unknown>;
    } catch {
      continue;
    }
    const make = (found[member] ?? found) as new (path: string) => Database;
    return new make(file);
  }
  throw new RxhiveError(
    'INVALID_OPTION',
    'There is no SQLite driver: use Node 22.13 or newer, or run npm install libsql (or better-sqlite3).',
  );
}

/**
 * Logs of runs in one SQLite file (WAL, every append synced to disk). Many processes may use the file, one at a
 * time may continue a run: a lease of 30 s that is renewed, free at once when its process on this machine is dead.
 */
export class SqliteStore implements CheckpointStore {
  readonly #file: string;
  readonly #db: Database;
  #get: Statement | undefined;
  #put: Statement | undefined;
  readonly #owner = newOwner();

  /** @throws CheckpointCorruptError for a file that is no store; RxhiveError INVALID_OPTION without a driver */
  constructor(file: string) {
    this.#file = file;
    this.#db = connect(file);
    this.#guard('', () => {
      const { application_id: id } = this.#db.prepare('pragma application_id').get() as {
        application_id: number;
      };
      const { n } = this.#db.prepare('select count(*) as n from sqlite_master').get() as { n: number };
      if (n > 0 && Number(id) !== applicationId)
        throw new CheckpointCorruptError('', 0, `${brief(file)} is no rxhive store`);
      this.#db.exec('pragma busy_timeout = 5000; pragma journal_mode = WAL; pragma synchronous = FULL');
      if (n > 0) {
        this.#grow();
        return;
      }
      this.#db.exec(`begin immediate;
        pragma application_id = ${applicationId};
        create table if not exists runs (run_id text primary key, last integer not null, token integer not null,
          owner text not null, expires integer not null, updated integer not null) without rowid;
        create table if not exists log (run_id text not null, seq integer not null, body text not null,
          sum text not null, primary key (run_id, seq)) without rowid;
        create table if not exists kept (key text primary key, body text not null, sum text not null, run_id text) without rowid;
        create index if not exists kept_for on kept (run_id);
        commit`);
    });
  }

  /** Adds what files of older versions do not have. */
  #grow(): void {
    const missing = (): boolean => {
      const columns = this.#db.prepare('pragma table_info(kept)').all() as { name: string }[];
      return columns.length > 0 && !columns.some(({ name }) => name === 'run_id');
    };
    if (!missing()) return;
    this.#transaction(() => {
      if (missing())
        this.#db.exec('alter table kept add column run_id text; create index kept_for on kept (run_id)');
    });
  }

  open(runId: string): RunLog {
    return this.#guard(runId, () => {
      const token = this.#lease(runId);
      try {
        return this.#opened(runId, token);
      } catch (error) {
        this.#release(runId, token);
        throw error;
      }
    });
  }

  read(runId: string): readonly LogEntry[] {
    return this.#guard(runId, () => this.#entries(runId).entries);
  }

  runs(): readonly StoredRun[] {
    return this.#guard('', () => {
      const rows = this.#db
        .prepare(
          'select cast(run_id as blob) as id, cast(last as integer) as last, cast(updated as integer) as updated from runs where last > 0',
        )
        .all() as { id: Uint8Array; last: number; updated: number }[];
      return rows.map(({ id, last, updated }) => ({
        runId: text(id),
        records: Number(last),
        updatedAt: Number(updated),
      }));
    });
  }

  remove(runId: string): void {
    this.#guard(runId, () => {
      // The lease keeps others away; a crash here leaves the run as it was.
      const token = this.#lease(runId);
      try {
        this.#transaction(() => {
          this.#db.prepare('delete from log where run_id = ?').run(runId);
          this.#db.prepare('delete from kept where run_id = ?').run(runId);
          this.#db.prepare('delete from runs where run_id = ? and token = ?').run(runId, token);
        });
      } catch (error) {
        this.#release(runId, token);
        throw error;
      }
    });
  }

  get(key: string): string | undefined {
    this.#get ??= this.#db.prepare(
      'select cast(body as blob) as body, cast(sum as blob) as sum from kept where key = ?',
    );
    const row = this.#get.get(key) as { body: Uint8Array; sum: Uint8Array } | undefined;
    if (row === undefined) return undefined;
    return verifiedText(key, text(row.body), text(row.sum));
  }

  put(key: string, body: string, runId?: string): void {
    // Made once: a driver may keep what a statement was given, for as long as nobody collects the statement.
    this.#put ??= this.#db.prepare(
      'insert into kept (key, body, sum, run_id) values (?, ?, ?, ?) on conflict (key) do update set body = excluded.body, sum = excluded.sum, run_id = excluded.run_id',
    );
    this.#put.run(key, body, sumOf(key, 0, body), runId ?? null);
  }

  /** Moves everything into the one file and closes it. */
  close(): void {
    try {
      this.#db.exec('pragma wal_checkpoint(TRUNCATE)');
    } catch {
      // Another process is at work in the file; what is in the WAL stays there.
    }
    this.#db.close();
  }

  #lease(runId: string): number {
    return this.#transaction(() => {
      const now = Date.now();
      const row = this.#db
        .prepare(
          'select cast(token as integer) as token, cast(owner as blob) as owner, cast(expires as integer) as expires from runs where run_id = ?',
        )
        .get(runId) as { token: number; owner: Uint8Array; expires: number } | undefined;
      if (row !== undefined && row.expires > now && !isDead(text(row.owner)))
        throw heldBy(runId, text(row.owner));
      const token = Number(row?.token ?? 0) + 1;
      this.#db
        .prepare(
          'insert into runs values (?, 0, ?, ?, ?, ?) on conflict (run_id) do update set token = excluded.token, owner = excluded.owner, expires = excluded.expires',
        )
        .run(runId, token, this.#owner, now + leaseMs, now);
      return token;
    });
  }

  #opened(runId: string, token: number): RunLog {
    const opened = this.#entries(runId);
    let { end } = opened;
    const insert = this.#db.prepare('insert into log values (?, ?, ?, ?)');
    const renew = this.#db.prepare(
      'update runs set last = coalesce(?, last), updated = coalesce(?, updated), expires = ? where run_id = ? and token = ?',
    );
    const touch = (last: number | null): void => {
      const now = Date.now();
      const changed = renew.run(last, last === null ? null : now, now + leaseMs, runId, token);
      if (Number(changed.changes) !== 1) throw takenOver(runId);
    };
    const heartbeat = setInterval(() => {
      try {
        touch(null);
      } catch (error) {
        // Taken over: the next append says so. A file that is busy is tried again.
        if (error instanceof RxhiveError) clearInterval(heartbeat);
      }
    }, leaseMs / 3);
    heartbeat.unref();
    const clear = this.#db.prepare('delete from log where run_id = ?');
    const forget = this.#db.prepare('delete from kept where key = ? and run_id = ?');
    const write = (rows: readonly Row[], first?: () => void): void => {
      this.#transaction(() => {
        touch(rows.at(-1)?.seq ?? null);
        first?.();
        for (const row of rows) insert.run(runId, row.seq, row.body, row.sum);
      });
      end = rows.at(-1) ?? end;
    };
    return {
      entries: opened.entries,
      append: (entries: readonly LogEntry[]) => write(chained(runId, end, entries)),
      replace: (entries: readonly LogEntry[], gone: readonly string[] = []) =>
        write(chained(runId, startOf(runId), entries), () => {
          clear.run(runId);
          for (const key of gone) forget.run(key, runId);
        }),
      close: () => {
        clearInterval(heartbeat);
        this.#release(runId, token);
      },
    };
  }

  #entries(runId: string): ReturnType<typeof verified> {
    // One transaction: another process may be writing.
    this.#db.exec('begin');
    try {
      const rows = this.#db
        .prepare(
          'select cast(seq as integer) as seq, cast(body as blob) as body, cast(sum as blob) as sum from log where run_id = ? order by seq',
        )
        .all(runId) as { seq: number; body: Uint8Array; sum: Uint8Array }[];
      const kept = this.#db
        .prepare('select cast(last as integer) as last from runs where run_id = ?')
        .get(runId);
      const last = Number((kept as { last: number } | undefined)?.last ?? 0);
      const found = rows.map((row) => ({ seq: Number(row.seq), body: text(row.body), sum: text(row.sum) }));
      return verified(runId, found, last);
    } finally {
      this.#db.exec('commit');
    }
  }

  #release(runId: string, token: number): void {
    this.#db.prepare('update runs set expires = 0 where run_id = ? and token = ?').run(runId, token);
  }

  #transaction<T>(work: () => T): T {
    this.#db.exec('begin immediate');
    try {
      const result = work();
      this.#db.exec('commit');
      return result;
    } catch (error) {
      try {
        this.#db.exec('rollback');
      } catch {
        // SQLite has done so itself, when the disk is full.
      }
      throw error;
    }
  }

  /** What SQLite says about a damaged file, in our words. */
  #guard<T>(runId: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof RxhiveError) throw error;
      const text = String((error as Error)?.message ?? error);
      throw new CheckpointCorruptError(runId, 0, `SQLite cannot read ${brief(this.#file)}: ${text}`);
    }
  }
}

/** Text is read as bytes: a driver may end the whole process when damaged bytes are no UTF-8. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** Opens, or makes, a store in a file. */
export function sqlite(file: string): SqliteStore {
  return new SqliteStore(file);
}
