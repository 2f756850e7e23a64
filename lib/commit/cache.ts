import { ReplaySubject } from 'rxjs';
import { fnv1a } from '../kernel/hash.js';
import type { Cache, CacheEntry } from '../model/cache.js';
import type { TaskNode } from '../model/node.js';
import type { CheckpointStore } from '../model/store.js';
import { decode, encode } from './codec.js';
import { codeOf } from './resume.js';

interface Kept {
  readonly value: unknown;
  readonly at: number;
}

/** What is shared by all runs of this process that use one store, or one workflow without a store. */
interface Shelf {
  readonly texts: Pick<CheckpointStore, 'get' | 'put'>;
  readonly flights: Map<string, ReplaySubject<unknown>>;
}

const shelves = new WeakMap<object, Shelf>();

/** Results by content: type, version and inputs. Identical work that goes on at the same time is done once. */
export class ResultCache implements Cache {
  readonly #shelf: Shelf;
  readonly #now: () => number;

  /** Without a store results are kept as long as `owner`, the workflow, lives. */
  constructor(store: CheckpointStore | undefined, owner: object, now: () => number) {
    this.#now = now;
    const at = store ?? owner;
    const shelf = shelves.get(at) ?? { texts: store ?? inMemory(), flights: new Map() };
    shelves.set(at, shelf);
    this.#shelf = shelf;
  }

  enter(node: TaskNode, inputs: unknown, unfit = false): CacheEntry {
    const { definition } = node;
    const { key, ttl = Number.POSITIVE_INFINITY } = definition.cache ?? {};
    const version = fnv1a(codeOf(definition)).toString(36);
    let name: string;
    try {
      const content = key === undefined ? inputs : key(inputs as never);
      name = `cache ${definition.type ?? node.id} ${version} ${encode(content)}`;
    } catch (error) {
      return {
        kind: 'lead',
        because: `its key cannot be written: ${(error as Error).message}`,
        done: () => undefined,
        left: () => undefined,
      };
    }
    const { kept, because } = unfit
      ? { because: 'the kept result does not fit the schema' }
      : this.#find(name, ttl);
    if (kept !== undefined) return { kind: 'hit', because, value: kept.value };
    const flight = this.#shelf.flights.get(name);
    if (flight !== undefined)
      return { kind: 'wait', because: 'the same work goes on already', result$: flight };
    return this.#lead(name, because);
  }

  #lead(name: string, because: string): CacheEntry {
    const { flights, texts } = this.#shelf;
    const flight = new ReplaySubject<unknown>(1);
    flights.set(name, flight);
    const land = (): void => {
      if (flights.get(name) === flight) flights.delete(name);
      flight.complete();
    };
    return {
      kind: 'lead',
      because,
      done: (value) => {
        try {
          texts.put(name, encode({ value, at: this.#now() } satisfies Kept));
        } catch {
          // What cannot be kept is not kept; the task has succeeded all the same.
        }
        flight.next(value);
        land();
      },
      left: land,
    };
  }

  #find(name: string, ttl: number): { readonly kept?: Kept; readonly because: string } {
    try {
      const text = this.#shelf.texts.get(name);
      if (text === undefined) return { because: 'no result for these inputs and this version' };
      const kept = decode(text) as Kept;
      const age = this.#now() - kept.at;
      if (age >= ttl) return { because: `the result is ${age} ms old, more than ttl ${ttl}` };
      return { kept, because: `same inputs and version, ${age} ms ago` };
    } catch (error) {
      return { because: `the kept result cannot be read: ${(error as Error).message}` };
    }
  }
}

function inMemory(): Shelf['texts'] {
  const texts = new Map<string, string>();
  return { get: (key) => texts.get(key), put: (key, text) => void texts.set(key, text) };
}
