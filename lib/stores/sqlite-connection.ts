import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CheckpointCorruptError, RxhiveError, truncate } from '../kernel/errors.js';
import type { StoreFailure } from '../model/store.js';
import { storeFailed } from '../model/store-failure.js';
import { type Database, openDatabase, type Statement } from './sqlite-driver.js';

/** One connection to a file: its statements, its transactions, and what SQLite says in our words. */
export class SqliteConnection {
  readonly #file: string;
  readonly #prepare: (connection: SqliteConnection) => void;
  #db: Database | undefined;
  /** It was made ready for use, and is this file since then. */
  #ready: { readonly inode: string | undefined } | undefined;
  #closed = false;

  /** `prepare` checks the file, or makes it what it is to be. */
  constructor(file: string, prepare: (connection: SqliteConnection) => void) {
    this.#file = file;
    this.#prepare = prepare;
  }

  /** @throws CheckpointCorruptError for damage; RxhiveError STORE_FAILED; INVALID_OPTION without a driver */
  use<T>(runId: string, work: () => T): T {
    try {
      this.#open();
      return work();
    } catch (error) {
      if (error instanceof RxhiveError) throw error;
      throw this.#named(runId, error);
    }
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  statement(sql: string): Statement {
    return this.#database.statement(sql);
  }

  /** All of `work` or nothing; nobody else writes meanwhile. */
  transaction<T>(work: () => T): T {
    this.exec('begin immediate');
    try {
      this.#present();
      const result = work();
      this.exec('commit');
      return result;
    } catch (error) {
      try {
        this.exec('rollback');
      } catch {
        // SQLite has done so itself, when the disk is full.
      }
      throw error;
    }
  }

  /** Moves everything into the one file and closes it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const db = this.#db;
    if (db === undefined) return;
    try {
      db.exec('pragma wal_checkpoint(TRUNCATE)');
    } catch {
      // Another process is at work in the file; what is in the WAL stays there.
    }
    this.#db = undefined;
    db.leave(this.#file);
  }

  get #database(): Database {
    if (this.#db === undefined) throw storeFailed(this.#name, 'closed', 'it is not open');
    return this.#db;
  }

  get #name(): string {
    return `The store ${truncate(this.#file)}`;
  }

  #open(): void {
    if (this.#closed) throw storeFailed(this.#name, 'closed', 'it is not open');
    if (this.#ready !== undefined) return;
    // Nothing may stand still because others are at work: who finds the file busy asks again.
    if (this.#db === undefined) {
      this.#db = openDatabase(this.#file);
      this.#db.exec('pragma busy_timeout = 0');
    }
    this.#prepare(this);
    this.#ready = { inode: inodeOf(this.#file) };
  }

  /** A file that was deleted, or put in place of another, takes writes as before: they are lost when it is closed. */
  #present(): void {
    if (this.#ready === undefined || inodeOf(this.#file) === this.#ready.inode) return;
    throw storeFailed(this.#name, 'gone', 'the file is not the one that was opened');
  }

  #named(runId: string, error: unknown): RxhiveError {
    const said = String((error as Error)?.message ?? error);
    const code = codeOf(error);
    const damaged = this.#isDamage(code, said);
    if (damaged)
      return new CheckpointCorruptError(runId, 0, `SQLite cannot read ${truncate(this.#file)}: ${said}`);
    const reason = code === 'CANTOPEN' ? notOpened(this.#file) : reasonFor(code, said);
    return storeFailed(this.#name, reason, said, { cause: error });
  }

  #isDamage(code: string, said: string): boolean {
    if (/^(CORRUPT|NOTADB|IOERR_(SHORT_READ|CORRUPTFS|DATA)$)/.test(code)) return true;
    // All statements fit the tables we make. A table that was dropped leaves no trace; one with another name is damage.
    if (code !== 'ERROR' || !/no such|has no column|columns? but|malformed|unsupported/.test(said))
      return false;
    return !/no such table/.test(said) || this.#hasStrangers;
  }

  get #hasStrangers(): boolean {
    try {
      const sql = `select count(*) as n from sqlite_master where type = 'table' and name not in ('runs', 'log', 'kept')`;
      return Number((this.#database.statement(sql).get() as { n: number }).n) > 0;
    } catch {
      return true;
    }
  }
}

/** The name of a result code without its prefix; empty where it is none of SQLite. */
function codeOf(error: unknown): string {
  const { code, errcode, rawCode, message } = (error ?? {}) as Record<string, unknown>;
  // libsql tells no code for a file that it cannot open.
  const number = errcode ?? rawCode ?? /database .*: (\d+)"\)$/.exec(String(message))?.[1];
  if (number !== undefined) return named[Number(number)] ?? named[Number(number) & 0xff] ?? 'OTHER';
  const name = /^SQLITE_(\w+)$/.exec(String(code))?.[1];
  if (name !== undefined) return name;
  return /directory does not exist/.test(String(message)) ? 'CANTOPEN' : '';
}

/** Result codes that mean something of their own. Extended ones are a primary one and more. */
const named: Readonly<Record<number, string>> = {
  1: 'ERROR',
  3: 'PERM',
  5: 'BUSY',
  6: 'LOCKED',
  8: 'READONLY',
  1032: 'READONLY_DBMOVED',
  10: 'IOERR',
  522: 'IOERR_SHORT_READ',
  778: 'IOERR_WRITE',
  4874: 'IOERR_SHMSIZE',
  8202: 'IOERR_DATA',
  8458: 'IOERR_CORRUPTFS',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  26: 'NOTADB',
};

function reasonFor(code: string, said: string): StoreFailure | undefined {
  if (/^(BUSY|LOCKED)/.test(code)) return 'busy';
  // A quota, or a limit of the size of files, is no full disk for SQLite.
  if (/^(FULL|IOERR_WRITE|IOERR_SHMSIZE)$/.test(code)) return 'full';
  if (code === 'READONLY_DBMOVED' || (code === 'ERROR' && said.includes('no such table'))) return 'gone';
  if (/^(READONLY|PERM)/.test(code)) return 'read-only';
  return undefined;
}

/** Why there is no opening a file. */
function notOpened(file: string): StoreFailure | undefined {
  if (!existsSync(dirname(file))) return 'gone';
  try {
    accessSync(existsSync(file) ? file : dirname(file), constants.W_OK);
    return undefined;
  } catch {
    return 'read-only';
  }
}

/** Which file is at a path; undefined where there is none. */
function inodeOf(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}
