import { RxhiveError } from '../kernel/errors.js';
import type { SharedAnswer, SharedLimits, SharedMessage } from '../model/shared-limits.js';
import { type RedisConnection, RedisLink } from './redis-connection.js';
import { script } from './redis-script.js';
import { readAnswer } from './shared-answer.js';

/** Limits that processes share, kept in Redis: one script, by its clock. */
export class RedisLimits implements SharedLimits {
  readonly #link: RedisLink;
  readonly #base: string;

  /** `name`: whoever has the same shares the limits. @throws RxhiveError INVALID_OPTION */
  constructor(connection: RedisConnection, name: string) {
    this.#link = new RedisLink(connection);
    // In braces: all keys are in one slot of a cluster.
    this.#base = `rxhive:limits:{${encodeURIComponent(name)}}`;
  }

  async exchange(message: SharedMessage): Promise<SharedAnswer> {
    const base = this.#base;
    const keys = [`${base}:state`, `${base}:processes`, `${base}:answer:${message.from}`];
    for (const { name } of message.windows) keys.push(`${base}:${name}`, `${base}:${name}:amounts`);
    const text = await this.#link.run(script, keys, JSON.stringify(message));
    const answer = typeof text === 'string' ? readAnswer(text) : undefined;
    if (answer !== undefined) return answer;
    throw new RxhiveError('INVALID_OPTION', `Redis has something else at ${base}: use another name.`);
  }

  busy(is: boolean): void {
    this.#link.busy(is);
  }

  close(): void {
    this.#link.close();
  }
}
