import { getOrInsert } from '../kernel/get-or-insert.js';
import { readProviderError } from '../kernel/provider-error.js';
import { isPlural, mayName, type Secrecy } from '../kernel/secret-names.js';
import { looksSecret } from '../kernel/secret-texts.js';
import type { WorkflowEvent } from '../model/event.js';
import { hidden, type Redactor } from './redact.js';

const head = new Set(['seq', 'at', 'runId', 'type', 'reason']);
const deepest = 12;
const mostEntries = 1_000;
const mostItems = 100_000;
/** Name of a field. */
interface Name {
  /** As JSON with its colon, and with a comma before it. */
  readonly first: string;
  readonly next: string;
  readonly secrecy: Secrecy | undefined;
  /** It is written as it is, and so is what belongs to it. */
  readonly open: boolean;
  /** It is in the head of an event. */
  readonly head: boolean;
}

/** Names of fields that are remembered, up to so many, of up to so many characters. */
const mostNames = 5_000;
const shortName = 64;
/** Characters behind those of a long text that are shown. */
const margin = 10_000;
const hiddenText = JSON.stringify(hidden);
/** What has entries as a Map has them. */
const entered: ReadonlySet<string> = new Set([
  '[object Headers]',
  '[object URLSearchParams]',
  '[object FormData]',
]);
/** A record that may say in one field what the value in another is of. */
type Labelled = Readonly<Partial<Record<'name' | 'key' | 'header' | 'field' | 'value' | 'values', unknown>>>;

/**
 * Values as JSON, in one walk that also hides secrets. Never throws: what JSON cannot hold, and what cannot be read, is
 * described.
 */
export class JsonWriter {
  readonly #redactor: Redactor | undefined;
  readonly #longestText: number;
  /** Events of one task come one after the other. */
  #newest: string | undefined;
  #newestText = '';
  readonly #names = new Map<string, Name>();
  /** What is the same in all events of a type and reason, of the run that was written last. */
  readonly #kinds = new Map<string, Map<string, string>>();
  #runId = '';
  /** What is written belongs to a name of which the texts are secret. */
  #veiled = false;
  /** Objects around the one that is written. */
  readonly #above: object[] = [];

  /** `longestText`: characters after which a text is cut. */
  constructor(redactor: Redactor | undefined, longestText: number) {
    this.#redactor = redactor;
    this.#longestText = longestText;
  }

  /** An event, with what all events have first. Its type and reason decide what it means: they are not data. */
  event(event: WorkflowEvent): string {
    const { seq, at, runId, type, reason } = event;
    const depth = this.#above.length; // not 0 where a getter of what is written says something itself
    this.#above.push(event);
    try {
      const text = `{"seq":${number(seq)},"at":${number(at)}${this.#kind(runId, type, reason)}`;
      return `${text}${this.#fields(event, restOf(Object.keys(event)), true)}}`;
    } finally {
      this.#above.length = depth;
    }
  }

  /** Any value; what JSON leaves out is null. */
  value(value: unknown): string {
    return this.#value(value) ?? 'null';
  }

  #kind(runId: string, type: string, reason: string): string {
    if (runId !== this.#runId) this.#kinds.clear();
    this.#runId = runId;
    const known = this.#kinds.get(type)?.get(reason);
    if (known !== undefined) return known;
    const words = `"type":${JSON.stringify(type)},"reason":${JSON.stringify(reason)}`;
    const text = `,"runId":${this.#value(runId)},${words}`;
    getOrInsert(this.#kinds, type, () => new Map()).set(reason, text);
    return text;
  }

  /** Undefined where JSON leaves the field out. */
  #value(value: unknown): string | undefined {
    switch (typeof value) {
      case 'string':
        return this.#veiled && value !== '' ? hiddenText : this.#text(value);
      case 'number':
        return number(value);
      case 'boolean':
        return value ? 'true' : 'false';
      case 'bigint':
        return `"${value}"`;
      case 'function':
      case 'symbol':
        return `"[${typeof value}]"`;
      case 'undefined':
        return undefined;
      default:
        return value === null ? 'null' : this.#object(value as object);
    }
  }

  #object(value: object): string | undefined {
    const depth = this.#above.length;
    if (this.#above.includes(value)) return '"[circle]"';
    if (depth >= deepest) return '"[deep]"';
    this.#above.push(value);
    try {
      // What a field holds is mostly plain and open. The platform writes it faster, and not in thousands of small texts.
      if (depth === 1 && !this.#veiled && this.#isReadable(value)) return JSON.stringify(value);
      if (Array.isArray(value)) return this.#list(value);
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'null' : `"${value.toISOString()}"`;
      if (value instanceof Error) return this.#value(facts(value));
      if (value instanceof Map) return `{"map":${this.#pairs([...value])}}`;
      if (value instanceof Set) return `{"set":${this.#list([...value])}}`;
      const tag = Object.prototype.toString.call(value);
      if (tag === '[object URL]') return this.#value(String(value));
      if (entered.has(tag)) return `{"map":${this.#pairs([...(value as Map<unknown, unknown>).entries()])}}`;
      if (ArrayBuffer.isView(value)) return `"[${value.byteLength} bytes]"`;
      const keys = Object.keys(value);
      const shown = keys.length > mostEntries ? keys.slice(0, mostEntries) : keys;
      return `{${this.#fields(value, shown, false)}}`;
    } catch (error) {
      return this.#unreadable(error);
    } finally {
      this.#above.length = depth;
    }
  }

  #isReadable(value: object): boolean {
    try {
      return this.#isOpen(value, 1);
    } catch {
      return false;
    }
  }

  /** Would all of it be written as JSON writes it? */
  #isOpen(value: unknown, depth: number): boolean {
    switch (typeof value) {
      case 'string':
        return value.length <= this.#longestText && (this.#redactor?.text(value) ?? value) === value;
      case 'number':
        return Number.isFinite(value);
      case 'boolean':
        return true;
      case 'object':
        return value === null || (depth < deepest && this.#isOpenObject(value, depth + 1));
      default:
        return false;
    }
  }

  #isOpenObject(value: object, depth: number): boolean {
    if (Array.isArray(value))
      return (
        value.length <= mostItems && !this.#isHeaders(value) && value.every((one) => this.#isOpen(one, depth))
      );
    const kind: unknown = Object.getPrototypeOf(value);
    if (kind !== Object.prototype && kind !== null) return false;
    const keys = Object.keys(value);
    return (
      keys.length <= mostEntries &&
      this.#labelled(value as Labelled) === undefined &&
      keys.every((key) => {
        const one: unknown = (value as Record<string, unknown>)[key];
        return this.#nameOf(key).open && (one === undefined || this.#isOpen(one, depth));
      })
    );
  }

  /** `rest`: of an event, after its head. */
  #fields(of: object, keys: readonly string[], rest: boolean): string {
    let text = '';
    const labelled = rest ? undefined : this.#labelled(of as Labelled);
    for (const key of keys) {
      const name = this.#nameOf(key);
      if (rest && name.head) continue;
      const secrecy = name.secrecy ?? (key === 'value' || key === 'values' ? labelled : undefined);
      const value = this.#field(of, key, secrecy);
      if (value !== undefined) text += (rest || text !== '' ? name.next : name.first) + value;
    }
    return text;
  }

  /** One getter that throws must not hide its neighbours. */
  #field(of: object, key: string, secrecy: Secrecy | undefined): string | undefined {
    try {
      const value: unknown = (of as Record<string, unknown>)[key];
      return secrecy === undefined ? this.#value(value) : this.#secret(value, key, secrecy);
    } catch (error) {
      return this.#unreadable(error);
    }
  }

  /** What belongs to a name of a secret. How many there are, and whether there is one, is none. */
  #secret(value: unknown, name: string, secrecy: Secrecy): string | undefined {
    if (value == null || typeof value === 'boolean') return this.#value(value);
    const count = typeof value === 'number' && (secrecy === 'texts' || isPlural(name));
    if (secrecy === 'all') return count ? this.#value(value) : hiddenText;
    const before = this.#veiled;
    this.#veiled = true;
    try {
      return this.#value(value);
    } finally {
      this.#veiled = before;
    }
  }

  /** How secret the `value` of a record is that says in another field what it is of: a header, a variable, a cookie. */
  #labelled(of: Labelled): Secrecy | undefined {
    if (this.#redactor === undefined || !('value' in of || 'values' in of)) return undefined;
    if ('httpOnly' in of || 'sameSite' in of) return 'texts';
    const label = of.name ?? of.key ?? of.header ?? of.field;
    return typeof label === 'string' ? this.#nameOf(label).secrecy : undefined;
  }

  #nameOf(key: string): Name {
    return this.#names.get(key) ?? this.#name(key);
  }

  #name(key: string): Name {
    const first = `${this.#text(key)}:`;
    const secrecy = this.#redactor?.secrecy(key);
    const name = {
      first,
      next: `,${first}`,
      secrecy,
      open: secrecy === undefined && key !== 'toJSON' && first === `${JSON.stringify(key)}:`,
      head: head.has(key),
    };
    if (this.#names.size >= mostNames) this.#names.clear();
    if (key.length <= shortName) this.#names.set(key, name);
    return name;
  }

  /** A plan may be long; a result that is long is data, not something to look at. */
  #list(list: readonly unknown[]): string {
    if (this.#isPairs(list)) return this.#pairs(list);
    if (this.#isHeaders(list))
      return this.#list(list.map((one, i) => (this.#isSecretAt(list, i) ? hidden : one)));
    return this.#items(list, (one) => this.#value(one));
  }

  /** Names and values, as a Map has them, or headers. */
  #pairs(list: readonly (readonly [unknown, unknown])[]): string {
    return this.#items(list, ([name, value]) => {
      const secrecy = typeof name === 'string' ? this.#nameOf(name).secrecy : undefined;
      const shown = secrecy === undefined ? this.#value(value) : this.#secret(value, name as string, secrecy);
      return `[${this.#value(name) ?? 'null'},${shown ?? 'null'}]`;
    });
  }

  #items<T>(list: readonly T[], write: (one: T) => string | undefined): string {
    const all = list.length <= mostItems;
    let text = '[';
    for (const one of all ? list : list.slice(0, mostEntries))
      text += `${text === '[' ? '' : ','}${write(one) ?? 'null'}`;
    return all ? `${text}]` : `${text},"[cut]"]`;
  }

  /** Pairs of a name and a value, of which one is secret. */
  #isPairs(list: readonly unknown[]): list is readonly (readonly [unknown, unknown])[] {
    if (this.#redactor === undefined || !Array.isArray(list[0]) || list.length > mostEntries) return false;
    let some = false;
    for (const one of list) {
      if (!Array.isArray(one) || one.length !== 2 || typeof one[0] !== 'string') return false;
      some ||= this.#nameOf(one[0]).secrecy !== undefined;
    }
    return some;
  }

  /** Headers in one list, as Node has them raw: names and values by turns; or pairs of them. */
  #isHeaders(list: readonly unknown[]): boolean {
    if (this.#redactor === undefined) return false;
    return typeof list[0] === 'string' ? list.some((_, i) => this.#isSecretAt(list, i)) : this.#isPairs(list);
  }

  #isSecretAt(list: readonly unknown[], i: number): boolean {
    const name = i % 2 === 1 && list.length % 2 === 0 && list.length <= mostEntries ? list[i - 1] : undefined;
    if (typeof name !== 'string' || name.length > shortName || !mayName.test(name)) return false;
    const value = list[i];
    if (typeof value !== 'string' || value === hidden || !looksSecret(value)) return false;
    return this.#nameOf(name).secrecy !== undefined;
  }

  #text(value: string): string {
    if (value !== this.#newest) {
      this.#newestText = this.#quoted(value);
      this.#newest = value;
    }
    return this.#newestText;
  }

  #quoted(value: string): string {
    const { length } = value;
    // A secret at the end of what is shown is looked at as a whole.
    const shown = length > this.#longestText + margin ? value.slice(0, this.#longestText + margin) : value;
    const clean = this.#redactor === undefined ? shown : this.#redactor.text(shown);
    return JSON.stringify(
      length <= this.#longestText ? clean : `${clean.slice(0, this.#longestText)}… (${length} characters)`,
    );
  }

  #unreadable(error: unknown): string {
    return this.#quoted(`[unreadable: ${String((error as Error)?.message)}]`);
  }
}

/** Events that were just told have their head at both ends: most of what would be looked up to be left out. */
function restOf(keys: string[]): readonly string[] {
  const last = keys.length - 3;
  const told =
    keys[0] === 'type' &&
    keys[1] === 'reason' &&
    keys[last] === 'seq' &&
    keys[last + 1] === 'at' &&
    keys[last + 2] === 'runId';
  return told ? keys.slice(2, last) : keys;
}

function number(value: number): string {
  return Number.isFinite(value) ? `${value}` : `"${value}"`;
}

function facts(error: Error): Record<string, unknown> {
  const { name, message, cause } = error;
  const { code: own, status: told, statusCode } = error as unknown as Record<string, unknown>;
  const read = readProviderError(error, 0);
  // Where an SDK hides it deeper, or tells of an answer that began well, readers of the log would miss it.
  const outside = typeof told === 'number' && told < 400 ? undefined : told;
  const status = outside ?? (statusCode === undefined ? (read.status ?? told) : told);
  const code = own ?? (read.kind === 'quota' ? 'insufficient_quota' : undefined);
  const more = Object.entries({ code, status, statusCode, cause }).filter(([, one]) => one !== undefined);
  return { name, message, ...Object.fromEntries(more) };
}
