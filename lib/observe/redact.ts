import { type Secrecy, secrecyOf } from '../kernel/secret-names.js';
import { hidden, withoutSecrets } from '../kernel/secret-texts.js';

export { hidden } from '../kernel/secret-texts.js';

/** What must not leave the process. */
export interface RedactOptions {
  /** Names whose values are hidden, beside the known ones (`apiKey`, `password`, `authorization`, ...), in any case. */
  readonly keys?: readonly (string | RegExp)[];
  /** Texts that are hidden wherever they stand, beside the known ones (keys of providers, bearer tokens, ...). */
  readonly patterns?: readonly RegExp[];
}

/** Hides secrets in texts and decides about names. */
export class Redactor {
  readonly #keys: readonly (string | RegExp)[];
  readonly #patterns: readonly RegExp[];

  constructor({ keys = [], patterns = [] }: RedactOptions = {}) {
    this.#keys = keys;
    // One that is not global would hide the first only.
    this.#patterns = patterns.map((one) => (one.global ? one : new RegExp(one.source, `${one.flags}g`)));
  }

  /** The text without what looks like a secret. */
  text(text: string): string {
    let clean = withoutSecrets(text);
    for (const pattern of this.#patterns) clean = clean.replace(pattern, hidden);
    return clean;
  }

  /** How much of what belongs to `key` is hidden; undefined: nothing. */
  secrecy(key: string): Secrecy | undefined {
    const known = secrecyOf(key);
    if (known === 'all' || this.#keys.length === 0) return known;
    const own = this.#keys.some((one) =>
      typeof one === 'string' ? one.toLowerCase() === key.toLowerCase() : new RegExp(one, 'i').test(key),
    );
    return own ? 'all' : known;
  }
}
