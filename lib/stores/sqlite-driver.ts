import { createRequire } from 'node:module';
import { RxhiveError } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { type Parkable, park, unpark } from './parked.js';

/** A statement of any driver. */
export interface Statement {
  run(...values: unknown[]): { changes: number | bigint };
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
}

/** The part that node:sqlite, libsql and better-sqlite3 have in common. */
interface Driver {
  exec(sql: string): unknown;
  prepare(sql: string): Statement;
  close(): void;
}

const load = createRequire(import.meta.url);
const drivers: [string, string][] = [
  ['node:sqlite', 'DatabaseSync'],
  ['libsql', 'default'],
  ['better-sqlite3', 'default'],
];

/** A file that is open, with its statements. */
export class Database implements Parkable {
  readonly statements = new Map<string, Statement>();
  readonly #driver: Driver;
  readonly #end: (file: string, database: Database) => void;

  constructor(driver: Driver, end: (file: string, database: Database) => void) {
    this.#driver = driver;
    this.#end = end;
  }

  exec(sql: string): void {
    this.#driver.exec(sql);
  }

  /** Made once: a driver may keep what a statement was given, for as long as nobody collects the statement. */
  statement(sql: string): Statement {
    return getOrInsert(this.statements, sql, () => this.#driver.prepare(sql));
  }

  /** It is not used any more. */
  leave(file: string): void {
    this.#end(file, this);
  }

  close(): void {
    this.#driver.close();
  }
}

/** Opens a file with the first driver that is there. @throws RxhiveError INVALID_OPTION where there is none; what the driver throws */
export function openDatabase(file: string): Database {
  for (const [name, member] of drivers) {
    let found: Record<string, unknown>;
    try {
      found = load(name) as Record<string, unknown>;
    } catch {
      continue;
    }
    const make = (found[member] ?? found) as new (path: string) => Driver;
    if (name !== 'libsql') return new Database(new make(file), (_, database) => database.close());
    return (unpark(file) as Database | undefined) ?? new Database(new make(file), park);
  }
  throw new RxhiveError(
    'INVALID_OPTION',
    'There is no SQLite driver: use Node 22.13 or newer, or run npm install libsql (or better-sqlite3).',
  );
}
