import {
  applyPatches,
  enableMapSet,
  enablePatches,
  freeze,
  isDraftable,
  type Patch,
  produce,
  produceWithPatches,
} from 'immer';
import { RxhiveError, shown, TransactionConflictError } from '../kernel/errors.js';
import type { Reads, Recipe } from '../model/context.js';
import type { StatePatch } from '../model/record.js';
import { LastWrites } from './conflict.js';
import { TrackedReads } from './reads.js';

enableMapSet();
enablePatches();

/** A change that is not visible yet. */
export interface StateChange {
  readonly next: unknown;
  readonly patches?: readonly StatePatch[];
  readonly inverse?: readonly StatePatch[];
}

/** The shared state of a run: immutable snapshots, replaced by each commit that changes something. */
export class State {
  /** Number of the last commit; 0 before the first. */
  seq = 0;
  #current: unknown;
  /** Serializable attempts that have read and not ended; only while there are any, writes are tracked. */
  #readers = 0;
  readonly #writes = new LastWrites();

  constructor(initial: unknown) {
    if (initial !== undefined && !isDraftable(initial)) {
      throw new RxhiveError(
        'INVALID_OPTION',
        `state is ${shown(initial)}; give a plain object, array, Map or Set.`,
      );
    }
    this.#current = freeze(initial, true);
  }

  get current(): unknown {
    return this.#current;
  }

  /** `base`, or the newest state, as it would be with `recipes` applied. */
  preview(recipes: readonly Recipe<never>[] | undefined, base: unknown = this.#current): unknown {
    return recipes === undefined ? base : produce(base, replay(base, recipes));
  }

  /** Begins to note what a serializable attempt reads. */
  reads(): Reads {
    this.#readers += 1;
    return new TrackedReads(this.seq, this.#current, () => {
      this.#readers -= 1;
      if (this.#readers === 0) this.#writes.clear();
    });
  }

  /** Says which other task wrote what `reads` saw. */
  conflict(taskId: string, reads: Reads): TransactionConflictError | undefined {
    for (const path of reads.paths) {
      const clash = this.#writes.clash(path, reads.base);
      if (clash === undefined) continue;
      const values = { read: at(reads.snapshot, clash.path), current: at(this.#current, clash.path) };
      return new TransactionConflictError(taskId, clash.writer, clash.path, values);
    }
    return undefined;
  }

  /** Replays a task's recipes on the newest state, all or none. Patches are made where somebody needs them. */
  prepare(recipes: readonly Recipe<never>[], logged: boolean): StateChange {
    const base = this.#current;
    if (this.#readers === 0 && !logged) return { next: produce(base, replay(base, recipes)) };
    type Made = [unknown, StatePatch[], StatePatch[]];
    const [next, patches, inverse] = produceWithPatches(base, replay(base, recipes)) as unknown as Made;
    return { next, patches, inverse };
  }

  /** Makes a prepared change the newest state. */
  accept(taskId: string, { next, patches }: StateChange): void {
    this.#current = next;
    this.seq += 1;
    if (this.#readers === 0) return;
    for (const { path } of patches ?? []) this.#writes.write(path, this.seq, taskId);
  }

  /** Applies the changes of a log to the initial state. */
  restore(patches: readonly StatePatch[]): void {
    if (patches.length === 0) return;
    this.#current = freeze(applyPatches(this.#current as object, patches as unknown as Patch[]), true);
  }
}

function at(state: unknown, path: readonly PropertyKey[]): unknown {
  let value = state;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = value instanceof Map ? value.get(key) : (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function replay(base: unknown, recipes: readonly Recipe<never>[]): (draft: unknown) => void {
  if (base === undefined) {
    throw new RxhiveError(
      'INVALID_OPTION',
      'ctx.update was called but the workflow has no state; add state to its options.',
    );
  }
  return (draft) => {
    for (const recipe of recipes) {
      const returned = recipe(draft as never);
      if (typeof (returned as PromiseLike<unknown> | undefined)?.then === 'function') {
        throw new RxhiveError(
          'INVALID_OPTION',
          'A recipe of ctx.update returned a promise; await first, then update.',
        );
      }
    }
  };
}
