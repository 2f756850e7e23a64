import { isRxhiveError, RxhiveError } from '../kernel/errors.js';
import { Preparation } from '../kernel/preparation.js';
import type { SharedAnswer, SharedLimits, SharedMessage } from '../model/shared-limits.js';
import { Connection, type PostgresPool, quotedSchema } from './postgres-connection.js';
import { exchangeName, limitsSchema } from './postgres-script.js';
import { readAnswer } from './shared-answer.js';

/** What another try does not mend: user, password, rights, database. */
const setUp = /^(28\w{3}|3D000|42501)$/;
/** Limits that processes share, kept in PostgreSQL: one function, by its clock. */
export class PostgresLimits implements SharedLimits {
  readonly #db: Connection;
  readonly #name: string;
  readonly #at: string;
  readonly #made = new Preparation(() => this.#prepare());

  /** `name`: whoever has the same, and the same schema, shares the limits. @throws RxhiveError INVALID_OPTION */
  constructor(connection: string | PostgresPool, name: string, schema: string) {
    // A message that was not answered comes again from whoever sent it.
    const purpose = { maker: 'postgresLimits()', pauses: [] };
    this.#db = new Connection(connection, () => undefined, purpose);
    this.#name = encodeURIComponent(name);
    this.#at = quotedSchema(schema);
  }

  async exchange(message: SharedMessage): Promise<SharedAnswer> {
    try {
      await this.#made.done();
      const [row] = await this.#db.query(`select ${this.#at}.${exchangeName}($1, $2::jsonb) as answer`, [
        this.#name,
        JSON.stringify(message),
      ]);
      const answer = typeof row?.answer === 'string' ? readAnswer(row.answer) : undefined;
      if (answer !== undefined) return answer;
    } catch (error) {
      throw this.#named(error);
    }
    const what = `${exchangeName} in schema ${this.#at}`;
    throw new RxhiveError('INVALID_OPTION', `PostgreSQL has something else as ${what}: use another schema.`);
  }

  /** Connections nobody uses keep no process alive; those who wait have timers that do. */
  busy(): void {}

  /** Closes the connections it has made; a pool that was given stays open. */
  close(): Promise<void> {
    return this.#db.close();
  }

  /** Makes tables and functions where there are none: who may only use them needs no right to make any. */
  async #prepare(): Promise<void> {
    const [found] = await this.#db.query('select to_regprocedure($1) is not null as made', [
      `${this.#at}.${exchangeName}(text, jsonb)`,
    ]);
    if (found?.made !== true) await this.#db.query(limitsSchema(this.#at));
  }

  /** What PostgreSQL says, in which no secret is. */
  #named(error: unknown): RxhiveError {
    this.#made.undo();
    if (!isRxhiveError(error) || error.code === 'INVALID_OPTION') return error as RxhiveError;
    const code = String(error.details?.code ?? '');
    const said = /failed: (.*)/s.exec(error.message)?.[1] ?? error.message;
    if (setUp.test(code)) {
      const message = `PostgreSQL refuses: ${said} Give a user it knows, who may use schema ${this.#at}.`;
      return new RxhiveError('INVALID_OPTION', message);
    }
    return new RxhiveError('LIMITER_FAILED', `PostgreSQL does not answer: ${said}`);
  }
}
