import type { WorkflowEvent } from '../model/event.js';
import { hidden, type Redactor } from './redact.js';

const head = new Set(['seq', 'at', 'runId', 'type', 'reason']);
const deepest = 12;
const mostEntries = 1_000;
/** Name of a field. */
interface Name {
  /** As JSON with its colon, and with a comma before it. */
  readonly first: string;
  readonly next: string;
  readonly secret: boolean;
  /** It is in the head of an event. */
  readonly head: boolean;
}

/** Short texts come again and again: ids, names of fields. So many are remembered, up to so many characters each. */
const mostKnown = 5_000;
const shortText = 64;

/**
 * Values as JSON, in one walk that also hides secrets. Never throws: what JSON cannot hold, and what cannot be read, is
 * described.
 */
export class JsonWriter {
  readonly #redactor: Redactor | undefined;
  readonly #longestText: number;
  readonly #known = new Map<string, string>();
  readonly #names = new Map<string, Name>();
  /** What is the same in all events of a type and reason, of the run that was written last. */
  readonly #kinds = new Map<string, Map<string, string>>();
  #runId = '';
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
      const text = `{"seq":${this.#value(seq)},"at":${this.#value(at)}${this.#kind(runId, type, reason)}`;
      return `${text}${this.#fields(event, Object.keys(event), true)}}`;
    } finally {
      this.#above.length = depth;
    }
  }

  #kind(runId: string, type: string, reason: string): string {
    if (runId !== this.#runId) this.#kinds.clear();
    this.#runId = runId;
    const known = this.#kinds.get(type)?.get(reason);
    if (known !== undefined) return known;
    const words = `"type":${JSON.stringify(type)},"reason":${JSON.stringify(reason)}`;
    const text = `,"runId":${this.#value(runId)},${words}`;
    const ofType = this.#kinds.get(type) ?? new Map<string, string>();
    this.#kinds.set(type, ofType.set(reason, text));
    return text;
  }

  /** Undefined where JSON leaves the field out. */
  #value(value: unknown): string | undefined {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        return Number.isFinite(value) ? `${value}` : `"${value}"`;
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
      if (Array.isArray(value)) return this.#list(value);
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'null' : `"${value.toISOString()}"`;
      if (value instanceof Error) return this.#value(facts(value));
      if (value instanceof Map) return `{"map":${this.#list([...value])}}`;
      if (value instanceof Set) return `{"set":${this.#list([...value])}}`;
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

  /** `rest`: of an event, after its head. */
  #fields(of: object, keys: readonly string[], rest: boolean): string {
    let text = '';
    for (const key of keys) {
      const name = this.#names.get(key) ?? this.#name(key);
      if (rest && name.head) continue;
      const value = this.#field(of, key, name.secret);
      if (value !== undefined) text += (rest || text !== '' ? name.next : name.first) + value;
    }
    return text;
  }

  /** One getter that throws must not hide its neighbours. */
  #field(of: object, key: string, secret: boolean): string | undefined {
    try {
      const value: unknown = (of as Record<string, unknown>)[key];
      if (typeof value === 'number' || !secret || value == null || typeof value === 'boolean')
        return this.#value(value);
      return `"${hidden}"`;
    } catch (error) {
      return this.#unreadable(error);
    }
  }

  #name(key: string): Name {
    const first = `${this.#text(key)}:`;
    const name = {
      first,
      next: `,${first}`,
      secret: this.#redactor?.hides(key) === true,
      head: head.has(key),
    };
    if (this.#names.size >= mostKnown) this.#names.clear();
    if (key.length <= shortText) this.#names.set(key, name);
    return name;
  }

  /** A plan may be long; a result that is long is data, not something to look at. */
  #list(list: readonly unknown[]): string {
    const all = list.length <= 100 * mostEntries;
    let text = '[';
    for (const one of all ? list : list.slice(0, mostEntries))
      text += `${text === '[' ? '' : ','}${this.#value(one) ?? 'null'}`;
    return all ? `${text}]` : `${text},"[cut]"]`;
  }

  #text(value: string): string {
    if (value.length > shortText) return this.#quoted(value);
    let known = this.#known.get(value);
    if (known === undefined) {
      known = this.#quoted(value);
      if (this.#known.size >= mostKnown) this.#known.clear();
      this.#known.set(value, known);
    }
    return known;
  }

  #quoted(value: string): string {
    const clean = this.#redactor === undefined ? value : this.#redactor.text(value);
    const { length } = clean;
    return JSON.stringify(
      length <= this.#longestText ? clean : `${clean.slice(0, this.#longestText)}… (${length} characters)`,
    );
  }

  #unreadable(error: unknown): string {
    return this.#quoted(`[unreadable: ${String((error as Error)?.message)}]`);
  }
}

function facts(error: Error): Record<string, unknown> {
  const { name, message, cause } = error;
  const { code, status, statusCode } = error as unknown as Record<string, unknown>;
  const more = Object.entries({ code, status, statusCode, cause }).filter(([, one]) => one !== undefined);
  return { name, message, ...Object.fromEntries(more) };
}
