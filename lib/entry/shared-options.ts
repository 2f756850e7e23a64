import { RxhiveError } from '../kernel/errors.js';
import { bag, checked, isBag, required, rule } from '../kernel/option-rules.js';

/** Which limits processes share, and what they do without. */
export interface SharedName {
  /** All who use the same share the limits, e.g. the name of an API key's owner; from 1 to 200 characters. */
  readonly name: string;
  /**
   * What a process does while the server does not answer: `wait`, the default, starts nothing new; `{ share: n }` goes on with
   * one n-th of each limit, at least 1: n is the number of processes. Just after the server has gone away, what others have
   * started meanwhile is not known, so the limits are kept less exactly then.
   */
  readonly whenAway?: 'wait' | { readonly share: number };
}

const nameRule = required(
  (value) =>
    typeof value === 'string' && value !== '' && value.length <= 200 && !/[\ud800-\udfff]/u.test(value),
  'give a text of 1 to 200 characters',
);
const awayRule = rule(
  (value) =>
    value === 'wait' ||
    (isBag(value) &&
      Object.keys(value).join() === 'share' &&
      Number.isInteger(value.share) &&
      (value.share as number) >= 1),
  'give "wait" or { share: n }, n a whole number from 1',
);
// Checked by who connects: what is wrong there is not shown, for it may hold a password.
const unseen = rule(() => true, '');

/** `extra`: further names. @throws RxhiveError INVALID_OPTION, which shows nothing that may hold a password */
export function checkShared<T extends SharedName>(
  options: T,
  where: string,
  extra: readonly string[] = [],
): T {
  if (!isBag(options)) {
    const message = `${where} needs a second argument: { connection, name }.`;
    throw new RxhiveError('INVALID_OPTION', message);
  }
  const others = Object.fromEntries(['connection', ...extra].map((name) => [name, unseen]));
  return checked(
    options,
    where,
    bag('{ connection, name }', { ...others, name: nameRule, whenAway: awayRule }),
  );
}

/** Number of processes of which each goes on with its part; undefined: they wait. */
export function shareOf({ whenAway = 'wait' }: SharedName): number | undefined {
  return whenAway === 'wait' ? undefined : whenAway.share;
}
