import { createHash } from 'node:crypto';
import { Clock } from '../kernel/clock.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import { Preparation } from '../kernel/preparation.js';
import { checkedQuery, type RunRow, type RunsQuery, rowOfText, textOfRow } from '../model/run-row.js';
import type { CheckpointStore, LogEntry, RunLog, StoredRun } from '../model/store.js';
import { chained, type End, type Row, startOf, sumOf, verified, verifiedText } from './chain.js';
import {
  beat,
  heldBy,
  isDead,
  type LeaseOptions,
  LeaseWatch,
  leaseOf,
  newOwner,
  shownOwner,
  takenOver,
} from './lease.js';
import { Connection, type PostgresPool, quotedSchema } from './postgres-connection.js';

export type { PostgresPool } from './postgres-connection.js';

/** How a {@link PostgresStore} is set up. */
export interface PostgresOptions extends LeaseOptions {
  /** Schema of its three tables, made when first used. Default `rxhive`. */
  readonly schema?: string;
}

type Column = string | number | null;

/**
 * Logs of runs in a PostgreSQL database. Many processes on many machines may use it, one at a time may continue a
 * run: a lease, of 30 s by default, that is renewed, free at once when its process on this machine is dead. One that has expired by the
 * server's clock, which somebody may have set, is watched for half as long again before it is taken.
 * Each append is one statement and one round trip, which checks the lease, adds all records or none, and returns when
 * they are flushed to the server's disk.
 */
export class PostgresStore implements CheckpointStore {
  readonly #db: Connection;
  readonly #at: string;
  readonly #lasts: number;
  readonly #watch: LeaseWatch;
  readonly #tables = new Preparation(() => this.#prepare());

  /**
   * `clock`: leases of others are watched by it.
   * @throws RxhiveError INVALID_OPTION for something else than a connection string or a pool
   */
  constructor(
    connection: string | PostgresPool,
    options: PostgresOptions = {},
    clock = new Clock({ seed: 0 }),
  ) {
    this.#watch = new LeaseWatch(clock);
    this.#lasts = leaseOf(options);
    this.#db = new Connection(connection, () => this.#tables.undo());
    this.#at = quotedSchema(options.schema ?? 'rxhive');
  }

  async open(runId: string): Promise<RunLog> {
    await this.#tables.done();
    const token = await this.#lease(runId);
    try {
      return this.#opened(runId, token, await this.#load(runId));
    } catch (error) {
      await this.#release(runId, token).catch(() => undefined);
      throw error;
    }
  }

  async read(runId: string): Promise<readonly LogEntry[]> {
    await this.#tables.done();
    return (await this.#load(runId)).entries;
  }

  async runs(query: RunsQuery = {}): Promise<readonly StoredRun[]> {
    await this.#tables.done();
    const { status, workflow, tag, after, limit } = checkedQuery(query);
    const rows = await this.#db.query(
      `with listed as (
         select run_id, last, owner, expires > clock_timestamp() as held, row::text as row,
           extract(epoch from updated) * 1000 as updated, row as facts,
           coalesce(case jsonb_typeof(row->'startedAt') when 'number' then (row->>'startedAt')::float8 end,
             extract(epoch from updated) * 1000) as begun
         from ${this.#at}.runs where last > 0
       )
       select run_id, last, owner, held, row, updated from listed as r
       where ($1::text is null or facts->>'status' = $1) and ($2::text is null or facts->>'workflow' = $2)
         and ($3::text is null or exists (select 1 from jsonb_each_text(
           case jsonb_typeof(facts->'tags') when 'object' then facts->'tags' end) as t where t.key || '=' || t.value = $3))
         and ($4::text is null or (begun, run_id collate "C") < (select o.begun, o.run_id collate "C" from listed as o where o.run_id = $4))
       order by begun desc, run_id collate "C" desc limit $5`,
      [status ?? null, workflow ?? null, tag ?? null, after ?? null, limit ?? null],
    );
    return rows.map(
      ({ run_id: id, last, updated, owner, held, row }): StoredRun => ({
        ...rowOfText(row === null ? undefined : String(row)),
        runId: String(id),
        records: Number(last),
        updatedAt: Number(updated),
        owner: shownOwner(String(owner)),
        isLeased: held === true && !isDead(String(owner)),
      }),
    );
  }

  async remove(runId: string): Promise<void> {
    await this.#tables.done();
    const token = await this.#lease(runId);
    try {
      await this.#db.query(
        `with gone as (delete from ${this.#at}.runs where run_id = $1 and token = $2 returning 1),
         kept as (delete from ${this.#at}.kept where run_id = $1 and exists (select 1 from gone))
         delete from ${this.#at}.log where run_id = $1 and exists (select 1 from gone)`,
        [runId, token],
      );
    } catch (error) {
      await this.#release(runId, token).catch(() => undefined);
      throw error;
    }
  }

  async get(key: string): Promise<string | undefined> {
    await this.#tables.done();
    const [row] = await this.#db.query(`select body, sum from ${this.#at}.kept where key = $1`, [
      hashOf(key),
    ]);
    return row && verifiedText(key, String(row.body), String(row.sum));
  }

  async put(key: string, text: string, runId?: string): Promise<void> {
    await this.#tables.done();
    await this.#db.query(
      `insert into ${this.#at}.kept (key, body, sum, run_id) values ($1, $2, $3, $4)
       on conflict (key) do update set body = excluded.body, sum = excluded.sum, run_id = excluded.run_id`,
      [hashOf(key), text, sumOf(key, 0, text), runId ?? null],
    );
  }

  /** Closes the connections it has made; a pool that was given stays open. */
  close(): Promise<void> {
    return this.#db.close();
  }

  /** Makes the tables where there are none. */
  async #prepare(): Promise<void> {
    const at = this.#at;
    const names = ['runs', 'log', 'kept'].map((table) => `${at}.${table}`);
    const [found] = await this.#db.query(
      `select to_regclass($1) as a, to_regclass($2) as b,
         (select true from pg_attribute where attrelid = to_regclass($3) and attname = 'run_id') as c,
         (select true from pg_attribute where attrelid = to_regclass($1) and attname = 'row') as d`,
      names,
    );
    if (found?.a != null && found.b != null && found.c === true && found.d === true) return;
    // One transaction; the lock lets processes that begin together take turns.
    await this.#db.query(`select pg_advisory_xact_lock(1920493686);
      create schema if not exists ${at};
      create table if not exists ${at}.runs (run_id text primary key, last bigint not null, token bigint not null,
        owner text not null, expires timestamptz not null, updated timestamptz not null);
      create table if not exists ${at}.log (run_id text not null, seq bigint not null, body text not null,
        sum text not null, primary key (run_id, seq));
      create table if not exists ${at}.kept (key text primary key, body text not null, sum text not null);
      alter table ${at}.kept add column if not exists run_id text;
      alter table ${at}.runs add column if not exists lease integer not null default 30000, add column if not exists row jsonb;
      create index if not exists kept_for on ${at}.kept (run_id)`);
  }

  async #lease(runId: string): Promise<number> {
    const owner = newOwner();
    const values = [runId, owner, this.#lasts];
    const renewed = `owner = $2, expires = clock_timestamp() + $3 * interval '1 ms', lease = $3`;
    const made = `$1, 0, 1, $2, clock_timestamp() + $3 * interval '1 ms', clock_timestamp(), $3`;
    const columns = 'run_id, last, token, owner, expires, updated, lease';
    // One whose answer was lost finds itself as the owner.
    const [mine] = await this.#db.query(
      `insert into ${this.#at}.runs as r (${columns}) values (${made})
       on conflict (run_id) do update set token = r.token + 1, ${renewed}
       where r.expires = to_timestamp(0) or r.owner = $2 returning token`,
      values,
    );
    if (mine !== undefined) return Number(mine.token);
    let holder = '';
    let beat = '';
    const over = await this.#watch.isOver(runId, async () => {
      const [other] = await this.#db.query(
        `select owner, lease, ${beatOf('r')} as beat, extract(epoch from expires - clock_timestamp()) * 1000 as left
         from ${this.#at}.runs as r where run_id = $1 and expires > to_timestamp(0)`,
        [runId],
      );
      if (other === undefined) return undefined;
      holder = String(other.owner);
      beat = String(other.beat);
      return isDead(holder) ? undefined : { beat, left: Number(other.left), lasts: Number(other.lease) };
    });
    if (!over) throw heldBy(runId, holder);
    const [taken] = await this.#db.query(
      `insert into ${this.#at}.runs as r (${columns}) values (${made})
       on conflict (run_id) do update set token = r.token + 1, ${renewed}
       where r.expires = to_timestamp(0) or r.owner = $2 or ${beatOf('r')} = $4 returning token`,
      [...values, beat],
    );
    if (taken === undefined) throw heldBy(runId, holder);
    return Number(taken.token);
  }

  async #load(runId: string): Promise<ReturnType<typeof verified>> {
    // One statement, so one moment: another process may be writing.
    const rows = await this.#db.query(
      `select (select last from ${this.#at}.runs where run_id = $1) as last, l.seq, l.body, l.sum
       from (select 1) as one left join ${this.#at}.log as l on l.run_id = $1 order by l.seq`,
      [runId],
    );
    const found = rows.flatMap(({ seq, body, sum }): Row[] =>
      seq === null ? [] : [{ seq: Number(seq), body: String(body), sum: String(sum) }],
    );
    return verified(runId, found, Number(rows[0]?.last ?? 0));
  }

  #opened(runId: string, token: number, opened: ReturnType<typeof verified>): RunLog {
    let { end } = opened;
    const heartbeat = beat(this.#lasts, async () => {
      const [held] = await this.#db.query(
        `update ${this.#at}.runs set expires = clock_timestamp() + $3 * interval '1 ms' where run_id = $1 and token = $2
         returning 1 as held`,
        [runId, token, this.#lasts],
      );
      if (held === undefined) throw takenOver(runId);
    });
    return {
      entries: opened.entries,
      append: async (more, row?: RunRow) => {
        end = await this.#write(runId, token, end, chained(runId, end, more), { row });
      },
      replace: async (all, gone = []) => {
        end = await this.#write(runId, token, end, chained(runId, startOf(runId), all), { gone });
      },
      close: async (row?: RunRow) => {
        heartbeat.stop();
        await this.#release(runId, token, row);
      },
      onLost: (listener) => heartbeat.onLost(listener),
    };
  }

  /**
   * Adds records behind `end`, or puts them in place of all, without the texts under the keys `gone`; returns the new end.
   */
  async #write(
    runId: string,
    token: number,
    end: End,
    rows: readonly Row[],
    { gone, row }: { readonly gone?: readonly string[]; readonly row?: RunRow | undefined },
  ): Promise<End> {
    const last = rows.at(-1);
    if (last === undefined) return end;
    const [now] = await this.#db.query(
      `with held as (
         update ${this.#at}.runs as r set row = ${rowWith('$10')}, last = $4, updated = clock_timestamp(),
           expires = clock_timestamp() + $5 * interval '1 ms'
         where run_id = $1 and token = $2 and last = $3 returning 1
       ), gone as (
         delete from ${this.#at}.log where run_id = $1 and seq > $4 and exists (select 1 from held)
       ), forgotten as (
         delete from ${this.#at}.kept where run_id = $1 and key = any($9::text[]) and exists (select 1 from held)
       ), added as (
         insert into ${this.#at}.log select $1, r.seq, r.body, r.sum
         from held, unnest($6::bigint[], $7::text[], $8::text[]) as r (seq, body, sum)
         ${gone !== undefined ? 'on conflict (run_id, seq) do update set body = excluded.body, sum = excluded.sum' : ''}
       ), flushed as (
         select case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', true) end
       )
       select (select count(*) from held) as held, (select count(*) from flushed) as flushed, r.token, r.last,
         (select sum from ${this.#at}.log where run_id = $1 and seq = $4) as sum
       from (select 1) as one left join ${this.#at}.runs as r on r.run_id = $1`,
      [
        runId,
        token,
        end.seq,
        last.seq,
        this.#lasts,
        column(rows, 'seq'),
        column(rows, 'body'),
        column(rows, 'sum'),
        (gone ?? []).map(hashOf),
        kept(row),
      ],
    );
    // Not held, but there: the answer to a first try was lost with its connection.
    if (Number(now?.held) === 1 || (Number(now?.token) === token && now?.sum === last.sum)) return last;
    if (Number(now?.token) !== token || Number(now?.last) === end.seq) throw takenOver(runId);
    const message = `The log of run ${inspect(runId)} ends with record ${String(now?.last)}, not ${end.seq}; start it again, and it goes on from there.`;
    throw new RxhiveError('STORE_FAILED', message);
  }

  async #release(runId: string, token: number, row?: RunRow): Promise<void> {
    await this.#db.query(
      `update ${this.#at}.runs as r set expires = to_timestamp(0), row = ${rowWith('$3')} where run_id = $1 and token = $2`,
      [runId, token, kept(row)],
    );
  }
}

function kept(row: RunRow | undefined): string | null {
  return row === undefined ? null : textOfRow(row);
}

/** The row that a run gives, which began when the one before says, with its tags where it has none; without one that before. */
function rowWith(given: string): string {
  const kept = (name: string, when: string): string =>
    `case when r.row ? '${name}' and ${when} then jsonb_build_object('${name}', r.row->'${name}') else '{}' end`;
  const tags = kept('tags', `${given}::jsonb->'tags' = '{}'`);
  return `coalesce(${given}::jsonb || ${kept('startedAt', 'true')} || ${tags}, r.row)`;
}

/** What is another one after each renewal of a lease. */
function beatOf(row: string): string {
  return `${row}.owner || ' ' || extract(epoch from ${row}.expires)::text`;
}

function column(rows: readonly Row[], name: keyof Row): Column[] {
  return rows.map((row) => row[name]);
}

/** Keys hold the inputs of tasks, and may be longer than an index takes. */
function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/**
 * Opens a store in a PostgreSQL database, given as connection string (`postgres://user@host/database`) or as a
 * `Pool` of package `pg`. Nothing is connected before it is used.
 * @throws RxhiveError INVALID_OPTION
 */
export function postgres(connection: string | PostgresPool, options?: PostgresOptions): PostgresStore {
  return new PostgresStore(connection, options);
}
