import { Observable, ReplaySubject } from 'rxjs';
import { canonical } from '../codec/canonical.js';
import { decode, encode } from '../codec/codec.js';
import type { TaskNode } from '../graph/node.js';
import type { Cache, CacheAnswer, CacheEntry } from '../graph/ports.js';
import { messageOf } from '../kernel/errors.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { badReturn, callUser } from '../kernel/guard.js';
import { fnv1a } from '../kernel/hash.js';
import { isPromise, type MaybePromise, settleMaybe } from '../kernel/maybe-promise.js';
import type { CheckpointStore } from '../model/store.js';
import { codeOf } from './resume.js';

interface Kept {
  readonly value: unknown;
  readonly at: number;
}

/** `land` ends the flight with a value that is kept already. */
type Lead = Extract<CacheAnswer, { kind: 'lead' }> & { land(value: unknown): void };

/** Work that goes on in the run whose cache is `owner`. */
interface Flight {
  readonly owner: object;
  readonly worker: TaskNode;
  readonly result$: ReplaySubject<unknown>;
}

/** Whose results are kept. */
export interface CacheFacts {
  readonly workflow: string;
  readonly runId: string;
}

/** What is shared by all runs of this process that use one store, or one workflow without a store. */
interface Shelf {
  readonly texts: Pick<CheckpointStore, 'get' | 'put'>;
  readonly flights: Map<string, Flight>;
}

const shelves = new WeakMap<object, Shelf>();

/** Results by content: type, version and inputs. Identical work that goes on at the same time is done once. */
export class ResultCache implements Cache {
  readonly #shelf: Shelf;
  readonly #of: CacheFacts;
  readonly #now: () => number;

  /** Without a store results are kept as long as `owner`, the workflow, lives. */
  constructor(store: CheckpointStore | undefined, owner: object, of: CacheFacts, now: () => number) {
    this.#of = of;
    this.#now = now;
    const make = () => ({ texts: store ?? inMemory(), flights: new Map() });
    this.#shelf = getOrInsert(shelves, store ?? owner, make);
  }

  lookUp(node: TaskNode, inputs: unknown, input: unknown, unfit = false): CacheEntry {
    const { definition } = node;
    const { key, ttl = Number.POSITIVE_INFINITY } = definition.cache ?? {};
    const version = fnv1a(codeOf(definition)).toString(36);
    const own =
      key === undefined ? undefined : callUser('cache.key', () => key(inputs as never, input as never));
    if (isPromise(own) || (key !== undefined && (own === undefined || Number.isNaN(own))))
      throw badReturn('cache.key', own, 'plain data');
    let name: string;
    try {
      // Written as one value: no id can be read as another id and a part of what follows.
      const identity =
        key === undefined
          ? { workflow: this.#of.workflow, id: node.id, version, inputs, input }
          : { type: definition.type ?? node.id, version, key: own };
      name = `cache ${canonical(identity)}`;
    } catch (error) {
      if (key !== undefined) throw badReturn('cache.key', own, 'plain data, as a log can keep it');
      return {
        kind: 'lead',
        because: `its inputs cannot be written: ${messageOf(error)}`,
        done: () => undefined,
        left: () => undefined,
      };
    }
    const flight = this.#shelf.flights.get(name);
    if (flight !== undefined)
      return {
        kind: 'wait',
        because: 'the same work goes on already',
        worker: flight.owner === this ? flight.worker : 'elsewhere',
        result$: flight.result$,
      };
    if (unfit) return this.#lead(node, name, 'the kept result does not fit the schema');
    let text: MaybePromise<string | undefined>;
    try {
      text = this.#shelf.texts.get(name);
    } catch (error) {
      return this.#lead(node, name, unreadable(error));
    }
    return isPromise(text) ? this.#pendingAnswer(node, name, text, ttl) : this.#answer(node, name, text, ttl);
  }

  /** The flight begins with the question, so that the same is not asked, and done, twice. */
  #pendingAnswer(
    node: TaskNode,
    name: string,
    text: PromiseLike<string | undefined>,
    ttl: number,
  ): CacheEntry {
    const lead = this.#lead(node, name, '');
    const entry$ = new Observable<CacheAnswer>((subscriber) => {
      let told = false;
      const tell = (answer: CacheAnswer): void => {
        if (subscriber.closed) return;
        told = true;
        subscriber.next(answer);
        subscriber.complete();
      };
      text.then(
        (found) => {
          const { kept, because } = this.#read(found, ttl);
          if (kept === undefined) tell({ ...lead, because });
          else {
            lead.land(kept.value);
            tell({ kind: 'hit', because, value: kept.value });
          }
        },
        (error: unknown) => tell({ ...lead, because: unreadable(error) }),
      );
      return () => {
        if (!told) lead.left();
      };
    });
    return { kind: 'asked', entry$ };
  }

  #answer(node: TaskNode, name: string, text: string | undefined, ttl: number): CacheAnswer {
    const { kept, because } = this.#read(text, ttl);
    return kept === undefined ? this.#lead(node, name, because) : { kind: 'hit', because, value: kept.value };
  }

  #lead(worker: TaskNode, name: string, because: string): Lead {
    const { flights, texts } = this.#shelf;
    const result$ = new ReplaySubject<unknown>(1);
    const flight = { owner: this, worker, result$ };
    flights.set(name, flight);
    const landed = (): void => {
      if (flights.get(name) === flight) flights.delete(name);
    };
    const land = (value: unknown): void => {
      result$.next(value);
      result$.complete();
      landed();
    };
    return {
      kind: 'lead',
      because,
      land,
      done: (value) => {
        result$.next(value);
        result$.complete();
        // What cannot be kept is not kept; the task has succeeded all the same.
        const text = (): string => encode({ value, at: this.#now() } satisfies Kept);
        settleMaybe(() => texts.put(name, text(), this.#of.runId), landed, landed);
      },
      left: () => {
        landed();
        result$.complete();
      },
    };
  }

  #read(text: string | undefined, ttl: number): { readonly kept?: Kept; readonly because: string } {
    if (text === undefined) return { because: 'no result for these inputs and this version' };
    try {
      const kept = decode(text) as Kept;
      const age = this.#now() - kept.at;
      if (age >= ttl) return { because: `the result is ${age} ms old, more than ttl ${ttl}` };
      return { kept, because: `same inputs and version, ${age} ms ago` };
    } catch (error) {
      return { because: unreadable(error) };
    }
  }
}

function unreadable(error: unknown): string {
  return `the kept result cannot be read: ${messageOf(error)}`;
}

function inMemory(): Shelf['texts'] {
  const texts = new Map<string, string>();
  return { get: (key) => texts.get(key), put: (key, text) => void texts.set(key, text) };
}
