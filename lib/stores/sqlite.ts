import { CheckpointCorruptError, truncate } from '../kernel/errors.js';
import {
  checkedQuery,
  goingOn,
  type RunRow,
  type RunsQuery,
  rowOfText,
  textOfRow,
} from '../model/run-row.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';
import { reasonOf } from '../model/store-failure.js';
import { chained, type Row, startOf, sumOf, verified, verifiedText } from './chain.js';
import {
  beat,
  heldBy,
  isOver,
  type LeaseOptions,
  leaseOf,
  newOwner,
  shownOwner,
  sinceBoot,
  takenOver,
} from './lease.js';
import { SqliteConnection } from './sqlite-connection.js';

export type { LeaseOptions } from './lease.js';

/** "rxhv": marks a file as ours. */
const applicationId = 0x72786876;
const leaseColumns =
  'cast(token as integer) as token, cast(owner as blob) as owner, cast(expires as integer) as expires, cast(renewed as integer) as renewed, cast(lease as integer) as lasts';

/** The lease of a run, as the file has it. */
interface LeaseRow {
  readonly token: number;
  readonly owner: Uint8Array;
  readonly expires: number;
  readonly renewed: number;
  readonly lasts: number;
}

/**
 * Logs of runs in one SQLite file (WAL, every append synced to disk). Many processes may use the file, one at a
 * time may continue a run: a lease, of 30 s since boot by default, that is renewed, free at once when its process is dead.
 */
export class SqliteStore implements CheckpointStore {
  readonly #db: SqliteConnection;
  readonly #owner = newOwner();
  readonly #lasts: number;
  /** Leases that were to be given back when the file was busy. */
  readonly #left = new Map<string, number>();

  /** @throws CheckpointCorruptError for a file that is no store; RxhiveError STORE_FAILED; INVALID_OPTION without a driver */
  constructor(file: string, options: LeaseOptions = {}) {
    this.#lasts = leaseOf(options);
    this.#db = new SqliteConnection(file, (db) => prepare(db, file));
    try {
      this.#db.use('', () => undefined);
    } catch (error) {
      // Each call tries again.
      if (reasonOf(error) === 'busy') return;
      this.#db.close();
      throw error;
    }
  }

  open(runId: string): RunLog {
    return this.#db.use(runId, () => {
      const token = this.#lease(runId);
      try {
        return this.#opened(runId, token);
      } catch (error) {
        this.#giveBack(runId, token);
        throw error;
      }
    });
  }

  read(runId: string): readonly LogEntry[] {
    return this.#db.use(runId, () => this.#entries(runId).entries);
  }

  runs(query: RunsQuery = {}): readonly StoredRun[] {
    return this.#db.use('', () => {
      const { sql, values } = listing(query);
      const rows = this.#db.statement(sql).all(...values) as ({
        id: Uint8Array;
        last: number;
        updated: number;
        row: Uint8Array | null;
      } & LeaseRow)[];
      return rows.map(({ id, last, updated, row, ...lease }): StoredRun => {
        const runId = text(id);
        return {
          ...rowOf(row),
          runId,
          records: Number(last),
          updatedAt: Number(updated),
          owner: shownOwner(text(lease.owner)),
          isLeased: this.#holder(runId, lease) !== undefined,
        };
      });
    });
  }

  remove(runId: string): void {
    this.#db.use(runId, () => {
      // The lease keeps others away; a crash here leaves the run as it was.
      const token = this.#lease(runId);
      try {
        this.#db.transaction(() => {
          this.#db.statement('delete from log where run_id = ?').run(runId);
          this.#db.statement('delete from kept where run_id = ?').run(runId);
          this.#db.statement('delete from runs where run_id = ? and token = ?').run(runId, token);
        });
      } catch (error) {
        this.#giveBack(runId, token);
        throw error;
      }
    });
  }

  get(key: string): string | undefined {
    return this.#db.use('', () => {
      const row = this.#db
        .statement('select cast(body as blob) as body, cast(sum as blob) as sum from kept where key = ?')
        .get(key) as { body: Uint8Array; sum: Uint8Array } | undefined;
      return row && verifiedText(key, text(row.body), text(row.sum));
    });
  }

  put(key: string, body: string, runId?: string): void {
    this.#db.use('', () =>
      this.#db.transaction(() =>
        this.#db
          .statement(
            'insert into kept (key, body, sum, run_id) values (?, ?, ?, ?) on conflict (key) do update set body = excluded.body, sum = excluded.sum, run_id = excluded.run_id',
          )
          .run(key, body, sumOf(key, 0, body), runId ?? null),
      ),
    );
  }

  /** Moves everything into the one file and closes it. */
  close(): void {
    this.#db.close();
  }

  /** Who has the run now, if anybody. */
  #holder(runId: string, row: LeaseRow): string | undefined {
    if (this.#left.get(runId) === Number(row.token)) return undefined;
    const lease = {
      owner: text(row.owner),
      expires: Number(row.expires),
      renewed: Number(row.renewed),
      lasts: Number(row.lasts),
    };
    return isOver(lease) ? undefined : lease.owner;
  }

  #lease(runId: string): number {
    return this.#db.transaction(() => {
      const now = Date.now();
      const row = this.#db.statement(`select ${leaseColumns} from runs where run_id = ?`).get(runId) as
        | LeaseRow
        | undefined;
      const holder = row && this.#holder(runId, row);
      if (holder !== undefined) throw heldBy(runId, holder);
      const token = Number(row?.token ?? 0) + 1;
      this.#db
        .statement(
          'insert into runs (run_id, last, token, owner, expires, updated, renewed, lease) values (?, 0, ?, ?, ?, ?, ?, ?) on conflict (run_id) do update set token = excluded.token, owner = excluded.owner, expires = excluded.expires, renewed = excluded.renewed, lease = excluded.lease',
        )
        .run(runId, token, this.#owner, now + this.#lasts, now, sinceBoot(), this.#lasts);
      this.#left.delete(runId);
      return token;
    });
  }

  #opened(runId: string, token: number): RunLog {
    const opened = this.#entries(runId);
    let { end } = opened;
    const touch = (last: number | null): void => {
      const now = Date.now();
      const changed = this.#db
        .statement(
          'update runs set last = coalesce(?, last), updated = coalesce(?, updated), expires = ?, renewed = ? where run_id = ? and token = ?',
        )
        .run(last, last === null ? null : now, now + this.#lasts, sinceBoot(), runId, token);
      if (Number(changed.changes) !== 1) throw takenOver(runId);
    };
    const use = <T>(work: () => T): T => this.#db.use(runId, () => this.#db.transaction(work));
    const heartbeat = beat(this.#lasts, () => use(() => touch(null)));
    const write = (rows: readonly Row[], row?: RunRow, first?: () => void): void => {
      use(() => {
        touch(rows.at(-1)?.seq ?? null);
        first?.();
        this.#keep(runId, token, row);
        const insert = this.#db.statement('insert into log values (?, ?, ?, ?)');
        for (const { seq, body, sum } of rows) insert.run(runId, seq, body, sum);
      });
      end = rows.at(-1) ?? end;
    };
    return {
      entries: opened.entries,
      append: (entries: readonly LogEntry[], row?: RunRow) => write(chained(runId, end, entries), row),
      replace: (entries: readonly LogEntry[], gone: readonly string[] = []) =>
        write(chained(runId, startOf(runId), entries), undefined, () => {
          this.#db.statement('delete from log where run_id = ?').run(runId);
          const forget = this.#db.statement('delete from kept where key = ? and run_id = ?');
          for (const key of gone) forget.run(key, runId);
        }),
      close: (row?: RunRow) => {
        heartbeat.stop();
        use(() => {
          this.#keep(runId, token, row);
          this.#release(runId, token);
        });
      },
      onLost: (listener) => heartbeat.onLost(listener),
    };
  }

  #entries(runId: string): ReturnType<typeof verified> {
    // One transaction: another process may be writing.
    this.#db.exec('begin');
    try {
      const rows = this.#db
        .statement(
          'select cast(seq as integer) as seq, cast(body as blob) as body, cast(sum as blob) as sum from log where run_id = ? order by seq',
        )
        .all(runId) as { seq: number; body: Uint8Array; sum: Uint8Array }[];
      const kept = this.#db
        .statement('select cast(last as integer) as last from runs where run_id = ?')
        .get(runId);
      const last = Number((kept as { last: number } | undefined)?.last ?? 0);
      const found = rows.map((row) => ({ seq: Number(row.seq), body: text(row.body), sum: text(row.sum) }));
      return verified(runId, found, last);
    } finally {
      this.#db.exec('commit');
    }
  }

  #keep(runId: string, token: number, row: RunRow | undefined): void {
    if (row === undefined) return;
    const found = this.#db.statement('select cast(row as blob) as row from runs where run_id = ?').get(runId);
    const before = rowOf((found as { row: Uint8Array | null } | undefined)?.row);
    this.#db
      .statement('update runs set row = ? where run_id = ? and token = ?')
      .run(textOfRow(goingOn(before, row)), runId, token);
  }

  #giveBack(runId: string, token: number): void {
    try {
      this.#release(runId, token);
    } catch {
      this.#left.set(runId, token);
    }
  }

  #release(runId: string, token: number): void {
    this.#db.statement('update runs set expires = 0 where run_id = ? and token = ?').run(runId, token);
  }
}

/** Makes the file a store where it is empty. @throws CheckpointCorruptError for one that is something else */
function prepare(db: SqliteConnection, file: string): void {
  const { application_id: id } = db.statement('pragma application_id').get() as { application_id: number };
  const { n } = db.statement('select count(*) as n from sqlite_master').get() as { n: number };
  if (n > 0 && Number(id) !== applicationId)
    throw new CheckpointCorruptError('', 0, `${truncate(file)} is no rxhive store`);
  db.exec('pragma journal_mode = WAL; pragma synchronous = FULL');
  if (n > 0) {
    grow(db);
    return;
  }
  db.transaction(() =>
    db.exec(`pragma application_id = ${applicationId};
      create table if not exists runs (run_id text primary key, last integer not null, token integer not null,
        owner text not null, expires integer not null, updated integer not null, renewed integer not null default 0,
        lease integer not null default 30000, row text) without rowid;
      create table if not exists log (run_id text not null, seq integer not null, body text not null,
        sum text not null, primary key (run_id, seq)) without rowid;
      create table if not exists kept (key text primary key, body text not null, sum text not null, run_id text) without rowid;
      create index if not exists kept_for on kept (run_id)`),
  );
}

/** Adds what files of older versions do not have. */
function grow(db: SqliteConnection): void {
  const additions: [table: string, column: string, add: string][] = [
    ['kept', 'run_id', 'alter table kept add column run_id text; create index kept_for on kept (run_id)'],
    ['runs', 'renewed', 'alter table runs add column renewed integer not null default 0'],
    ['runs', 'lease', 'alter table runs add column lease integer not null default 30000'],
    ['runs', 'row', 'alter table runs add column row text'],
  ];
  const missing = () =>
    additions.filter(([table, column]) => {
      const columns = db
        .statement('select cast(name as blob) as name from pragma_table_info(?)')
        .all(table) as { name: Uint8Array }[];
      return columns.length > 0 && !columns.some(({ name }) => text(name) === column);
    });
  if (missing().length === 0) return;
  db.transaction(() => {
    for (const [, , add] of missing()) db.exec(add);
  });
}

/** The runs that are asked for, in order; SQLite reads many rows faster than they are brought here. */
function listing(query: RunsQuery): {
  readonly sql: string;
  readonly values: readonly (string | number)[];
} {
  const { status, workflow, tag, after, limit } = checkedQuery(query);
  const wanted: readonly (readonly [value: string | undefined, is: string])[] = [
    [status, "json_extract(facts, '$.status') = ?"],
    [workflow, "json_extract(facts, '$.workflow') = ?"],
    [tag, "exists (select 1 from json_each(facts, '$.tags') as t where t.key || '=' || t.value = ?)"],
    [after, '(begun, run_id) < (select begun, run_id from listed where run_id = ?)'],
  ];
  const given = wanted.flatMap(([value, is]) => (value === undefined ? [] : [{ value, is }]));
  const sql = `with facts as (select *, case when json_valid(row) then row end as facts from runs where last > 0),
      listed as (select *, coalesce(json_extract(facts, '$.startedAt'), updated) as begun from facts)
    select cast(run_id as blob) as id, cast(last as integer) as last, cast(updated as integer) as updated, cast(row as blob) as row, ${leaseColumns}
    from listed ${given.length === 0 ? '' : `where ${given.map(({ is }) => is).join(' and ')}`}
    order by begun desc, listed.run_id desc ${limit === undefined ? '' : 'limit ?'}`;
  return { sql, values: [...given.map(({ value }) => value), ...(limit === undefined ? [] : [limit])] };
}

/** Text is read as bytes: a driver may end the whole process when damaged bytes are no UTF-8. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function rowOf(bytes: Uint8Array | null | undefined): RunRow | undefined {
  return rowOfText(bytes ? text(bytes) : undefined);
}

/** Opens, or makes, a store in a file. @throws RxhiveError INVALID_OPTION, STORE_FAILED; CheckpointCorruptError */
export function sqlite(file: string, options?: LeaseOptions): SqliteStore {
  return new SqliteStore(file, options);
}
