import { type DefinitionFault, inspect, RxhiveError, truncate } from './errors.js';
import { disown } from './guard.js';

/** Takes one thing that is wrong, as a sentence that says what to change. */
export type Fault = (kind: DefinitionFault['kind'], message: string) => void;

/** Tests the value of an option, and tells what is wrong; `where`: its name in messages. */
export interface Rule {
  (value: unknown, where: string, fault: Fault): void;
  /** The option has to be there. Default: one that is absent is not looked at. */
  readonly needed?: boolean;
}

/** A table of options: the rule of each. Faults are told in this order. */
export type Rules<T = Bag> = { readonly [name in keyof T]?: Rule };

export type Bag = Readonly<Record<string, unknown>>;

/** Is it an object with options, rather than a list or a single value? */
export function isBag(value: unknown): value is Bag {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The option has to be there and to pass `fits`. `advice`: what to give instead. */
export function required(
  fits: (value: unknown) => boolean,
  advice: string,
  kind: DefinitionFault['kind'] = 'bad-option',
): Rule {
  return needed((value, where, fault) => {
    if (fits(value)) return;
    disown(value);
    fault(kind, `${where} is ${inspect(value)}; ${advice}.`);
  });
}

/** The same, and it is asked where the option is absent, too. */
export function needed(one: Rule, is = true): Rule {
  return Object.assign(one, { needed: is });
}

/** The same where it may be absent. */
export function optional(one: Rule): Rule {
  return (value, where, fault) => {
    if (value !== undefined) one(value, where, fault);
  };
}

/** The option may be absent; else it has to pass `fits`. */
export function rule(...given: Parameters<typeof required>): Rule {
  return optional(required(...given));
}

/** A number of at least `least`; `whole` numbers only, `infinite`: Infinity too. */
export function number(least: number, ...kinds: readonly ('whole' | 'infinite')[]): Rule {
  const [whole, infinite] = [kinds.includes('whole'), kinds.includes('infinite')];
  const fits = (value: unknown): boolean =>
    typeof value === 'number' &&
    value >= least &&
    ((infinite && value === Number.POSITIVE_INFINITY) ||
      (whole ? Number.isInteger(value) : Number.isFinite(value)));
  const kind = `${whole ? 'a whole number' : 'a number'} from ${least}${infinite ? ', or Infinity' : ''}`;
  return rule(fits, `give ${kind}`, 'bad-number');
}

/** Ms, or any other amount above 0. */
export function isAboveZero(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

/** A whole number from 1, or Infinity. */
export function isCapacity(value: unknown): boolean {
  return value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && Number(value) >= 1);
}

/** A part of a whole: above 0, at most 1. */
export function isShare(value: unknown): boolean {
  return isAboveZero(value) && Number(value) <= 1;
}

export function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

/** One of some words. */
export function oneOf(words: readonly string[], advice = `use "${words.join('" or "')}"`): Rule {
  return rule((value) => words.includes(value as string), advice);
}

/** `then` for values that are like that, `otherwise` for others. */
export function either(isLike: (value: unknown) => boolean, then: Rule, otherwise: Rule): Rule {
  const one: Rule = (value, where, fault) => (isLike(value) ? then : otherwise)(value, where, fault);
  return needed(one, otherwise.needed === true);
}

/** All rules, one after the other. */
export function all(...rules: readonly Rule[]): Rule {
  const every: Rule = (value, where, fault) => {
    for (const one of rules) one(value, where, fault);
  };
  return needed(
    every,
    rules.some((one) => one.needed === true),
  );
}

/** The same rule for every entry of a record. */
export function each(one: Rule): Rule {
  return (value, where, fault) => {
    const given = (value ?? {}) as Bag;
    for (const name of Object.keys(given)) one(given[name], `${where}.${truncate(name)}`, fault);
  };
}

/**
 * An object of options that has to be there. `shape`: what to give instead of something else. `names`: what to use instead
 * of an option that is not in the table; false: others are let pass. Default: all in the table.
 */
export function bag<T>(shape: string, rules: Rules<T>, names: string | false = ''): Rule {
  const use = names === '' ? Object.keys(rules).join(', ') : names;
  return needed((value, where, fault) => {
    if (!isBag(value)) {
      fault('bad-option', `${where} is ${inspect(value)}; give ${shape}.`);
      return;
    }
    if (use !== false)
      for (const name of Object.keys(value))
        if (!Object.hasOwn(rules, name))
          fault('bad-option', `${where}.${truncate(name)} is unknown; use ${use}.`);
    checkAll(rules, value, `${where}.`, fault);
  });
}

/** The same for an option that may be absent. */
export function options<T>(...given: Parameters<typeof bag<T>>): Rule {
  return optional(bag<T>(...given));
}

/** Looks at every option of a table that is there, or has to be. `where` comes before each name; `names`: other ones for messages. */
export function checkAll<T>(
  rules: Rules<T>,
  bag: object,
  where: string,
  fault: Fault,
  names: { readonly [name: string]: string } = {},
): void {
  // No list of them is made: tasks are many, and so are the options they leave out.
  for (const name in rules) {
    const one = rules[name];
    const value = (bag as Bag)[name];
    if (value !== undefined || one?.needed === true) one?.(value, `${where}${names[name] ?? name}`, fault);
  }
}

/** Everything wrong with one value, one sentence each. */
export function faultsOf(value: unknown, where: string, one: Rule): string[] {
  const faults: string[] = [];
  one(value, where, (_, message) => faults.push(message));
  return faults;
}

/** The value, when it fits. @throws RxhiveError INVALID_OPTION with everything that makes no sense */
export function checked<T>(value: T, where: string, one: Rule): T {
  const faults = faultsOf(value, where, one);
  if (faults.length > 0) throw new RxhiveError('INVALID_OPTION', faults.join(' '), { details: { faults } });
  return value;
}
