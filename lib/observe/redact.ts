/** What must not leave the process. */
export interface RedactOptions {
  /** Names whose values are hidden, beside the known ones (`apiKey`, `password`, `authorization`, ...). */
  readonly keys?: readonly (string | RegExp)[];
  /** Texts that are hidden wherever they stand, beside the known ones (keys of providers, bearer tokens, ...). */
  readonly patterns?: readonly RegExp[];
}

/** In place of what is hidden. */
export const hidden = '[redacted]';

/** `tokens` is a count, `token` a secret. */
const knownKeys =
  /^(.*[-_.])?(api[-_]?key|access[-_]?key|private[-_]?key|secret|client[-_]?secret|password|passwd|passphrase|token|authorization|cookie|set-cookie|credentials?|connection[-_]?string)$/i;
const camelKeys =
  /(Api[-_]?Key|AccessKey|PrivateKey|Secret|Password|Passphrase|Token|Authorization|Cookie|Credentials?|ConnectionString)$/;

const knownPatterns: readonly RegExp[] = [
  /\bsk-[A-Za-z0-9_-]{16,}/g,
  /\b(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{20,}/g,
  /\bxox[abprs]-[A-Za-z0-9-]{10,}/g,
  /\bAKIA[0-9A-Z]{16}\b/g,
  /\bAIza[0-9A-Za-z_-]{35}/g,
  /\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g,
  /\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{12,}/gi,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /(?<=:\/\/[^/\s:@]{0,200}:)[^/\s@]{1,500}(?=@)/g,
];

/** What every text with one of {@link knownPatterns} has in it: most texts have none of it, and are looked at once. */
const mayHide = /sk-|gh[pousr]_|github_pat_|xox|AKIA|AIza|eyJ|bearer\s|basic\s|PRIVATE KEY|:\/\//i;

/** Hides secrets in texts and decides about names. */
export class Redactor {
  readonly #keys: readonly (string | RegExp)[];
  readonly #patterns: readonly RegExp[];

  constructor({ keys = [], patterns = [] }: RedactOptions = {}) {
    this.#keys = keys;
    // One that is not global would hide the first only.
    this.#patterns = patterns.map((one) => (one.global ? one : new RegExp(one.source, `${one.flags}g`)));
  }

  /** May there be something to hide? False: {@link Redactor.text} would leave it as it is. */
  suspects(text: string): boolean {
    return mayHide.test(text) || this.#patterns.some((pattern) => text.search(pattern) >= 0);
  }

  /** The text without what looks like a secret. */
  text(text: string): string {
    let clean = text;
    if (mayHide.test(text)) for (const pattern of knownPatterns) clean = clean.replace(pattern, hidden);
    for (const pattern of this.#patterns) clean = clean.replace(pattern, hidden);
    return clean;
  }

  /** Is what belongs to `key` hidden? Numbers and booleans are no secrets. */
  hides(key: string): boolean {
    if (knownKeys.test(key) || camelKeys.test(key)) return true;
    return this.#keys.some((one) =>
      typeof one === 'string' ? one.toLowerCase() === key.toLowerCase() : new RegExp(one, 'i').test(key),
    );
  }
}
