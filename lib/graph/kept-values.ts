import type { Subject } from 'rxjs';
import { copy } from '../kernel/copy.js';

/** Values in all that are at least kept for an attempt that begins again. */
const leastKept = 10_000;

/** A dependency as its values are kept. */
export interface KeptSource {
  readonly from: { readonly ended: boolean; readonly id: string };
  readonly values$: Subject<unknown>;
  /** Values that may wait for the reader. */
  readonly capacity: number;
}

interface Kept {
  readonly edge: KeptSource;
  /** Its place among those of the dependency, from 0. */
  readonly place: number;
  readonly value: unknown;
}

/** How far a dependency and its reader are. */
interface Progress {
  said: number;
  /** How many the present attempt was given. */
  given: number;
}

/**
 * Every value that the paired or merged dependencies of one task have said, in that order: an attempt is given all of them,
 * from the first one on.
 */
export class KeptValues {
  readonly mode: 'paired' | 'merged';
  /** So many of the values are kept in any case. */
  most = leastKept;
  /** How many the present attempt was given. */
  inputs = 0;
  #spoken = 0;
  readonly #progress = new Map<KeptSource, Progress>();
  #values: Kept[] = [];
  /** None was let go: another attempt can begin with the first. */
  #whole = true;
  /** When to look which may go. */
  #mark = 2 * leastKept;
  /** With `paired`: as many as the shortest that has ended; what others say beyond is of no use. */
  #most = Number.POSITIVE_INFINITY;

  constructor(mode: 'paired' | 'merged') {
    this.mode = mode;
  }

  /** How many dependencies there are. */
  get size(): number {
    return this.#progress.size;
  }

  /** Can another attempt begin with the first value? */
  get whole(): boolean {
    return this.#whole;
  }

  add(edge: KeptSource): void {
    this.#progress.set(edge, { said: 0, given: 0 });
    this.most = Math.max(this.most, edge.capacity);
    this.#mark = 2 * this.most;
  }

  /** Another dependency has spoken; how many have. */
  enters(): number {
    this.#spoken += 1;
    return this.#spoken;
  }

  /** One of them begins again; how many are left that have spoken. */
  leaves(): number {
    this.#spoken -= 1;
    return this.#spoken;
  }

  firstOf(edge: KeptSource): unknown {
    return this.#values.find((one) => one.edge === edge)?.value;
  }

  /** Values of `edge` that the reader has not been given. */
  waiting(edge: KeptSource): number {
    const { said, given } = this.#of(edge);
    return said - given;
  }

  /** False: there is no room. */
  keep(edge: KeptSource, value: unknown): boolean {
    const progress = this.#of(edge);
    if (progress.said >= this.#most) return true;
    if (progress.said - progress.given >= edge.capacity) return false;
    this.#values.push({ edge, place: progress.said, value: copy(value) });
    progress.said += 1;
    if (this.#values.length >= this.#mark) this.#trim();
    return true;
  }

  ended(edge: KeptSource): void {
    if (this.mode === 'paired') this.#most = Math.min(this.#most, this.#of(edge).said);
  }

  /** What `edge` has said does not count: it begins again. */
  forget(edge: KeptSource): void {
    this.#progress.set(edge, { said: 0, given: 0 });
    this.#values = this.#values.filter((one) => one.edge !== edge);
  }

  /** Nobody will read them any more. */
  clear(): void {
    this.#values = [];
    this.#most = 0;
  }

  /** The reader was given an input: the next value of each of `edges`. */
  gave(edges: readonly KeptSource[]): void {
    this.inputs += 1;
    for (const edge of edges) this.#of(edge).given += 1;
  }

  /** Tells a new attempt all there is. */
  replay(): void {
    this.inputs = 0;
    for (const progress of this.#progress.values()) progress.given = 0;
    for (const { edge, value } of this.#values) edge.values$.next(value);
    for (const edge of this.#progress.keys()) if (edge.from.ended) edge.values$.complete();
  }

  /** Lets those go that the reader has been given. */
  #trim(): void {
    const rest = this.#values.filter(({ edge, place }) => place >= this.#of(edge).given);
    if (rest.length < this.#values.length) this.#whole = false;
    this.#values = rest;
    this.#mark = 2 * Math.max(this.most, rest.length);
  }

  #of(edge: KeptSource): Progress {
    return this.#progress.get(edge) as Progress;
  }
}
