import { enableMapSet, enablePatches, freeze, isDraftable, produce, produceWithPatches } from 'immer';
import { applied, byKey, partOf } from '../codec/collection-patches.js';
import { wholePatches } from '../codec/whole-patches.js';
import { deepest } from '../codec/writer.js';
import { inspect, messageOf, RxhiveError, TransactionConflictError } from '../kernel/errors.js';
import { readable } from '../kernel/guard.js';
import type { Reads, Recipe } from '../model/context.js';
import type { StatePatch } from '../model/record.js';
import { LastWrites } from './conflict.js';
import { TrackedReads } from './reads.js';
import { replay } from './recipe.js';

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
  /** What the last commit changed, where patches were asked for. */
  newest: readonly StatePatch[] | undefined;
  #current: unknown;
  /** As it will be once the commits in line are durable. */
  #head: unknown;
  readonly #line: { readonly taskId: string; readonly change: StateChange }[] = [];
  /** Serializable attempts that have read and not ended; only while there are any, writes are tracked. */
  #readers = 0;
  readonly #writes = new LastWrites();

  constructor(initial: unknown) {
    if (initial !== undefined && !isDraftable(initial)) {
      throw new RxhiveError(
        'INVALID_OPTION',
        `state is ${inspect(initial)}; give a plain object, array, Map or Set.`,
      );
    }
    try {
      this.#current = this.#head = freeze(initial, true);
    } catch (error) {
      throw unwalkable(error);
    }
  }

  get current(): unknown {
    return this.#current;
  }

  /** `base`, or the newest state, as it would be with `recipes` applied. */
  preview(recipes: readonly Recipe<never>[] | undefined, base: unknown = this.#current): unknown {
    return recipes === undefined ? base : changed(base, recipes, produce);
  }

  /** Begins to note what a serializable attempt reads. */
  reads(): Reads {
    if (this.#readers === 0)
      for (const [i, { taskId, change }] of this.#line.entries()) this.#track(taskId, change, i + 1);
    this.#readers += 1;
    return new TrackedReads(this.seq, this.#current, () => {
      this.#readers -= 1;
      if (this.#readers === 0) this.#writes.clear();
    });
  }

  /**
   * Says which other task wrote what `reads` saw, and the number of the newest such commit: one after `seq` is still being
   * written.
   */
  conflict(
    taskId: string,
    reads: Reads,
  ): { readonly error: TransactionConflictError; readonly seq: number } | undefined {
    for (const path of reads.paths) {
      const clash = this.#writes.clash(path, reads.base);
      if (clash === undefined) continue;
      const values = { read: at(reads.snapshot, clash.path), current: at(this.#head, clash.path) };
      const seq = Math.max(...reads.paths.map((one) => this.#writes.newest(one)));
      return { error: new TransactionConflictError(taskId, clash.writer, clash.path, values), seq };
    }
    return undefined;
  }

  /** Says which other task has, since `reads` began, written what `recipes` change. What is only added to an array replaces nothing. */
  overwritten(
    taskId: string,
    reads: Reads,
    recipes: readonly Recipe<never>[],
  ): TransactionConflictError | undefined {
    for (const { op, path } of this.prepare(recipes, true).patches ?? []) {
      if (op === 'add' && typeof path.at(-1) === 'number') continue;
      const clash = this.#writes.clash(path, reads.base);
      if (clash === undefined) continue;
      const values = { read: at(reads.snapshot, clash.path), current: at(this.#head, clash.path) };
      return new TransactionConflictError(taskId, clash.writer, clash.path, values, 'writes');
    }
    return undefined;
  }

  /** Replays a task's recipes on the newest state, all or none. Patches are made where somebody needs them. */
  prepare(recipes: readonly Recipe<never>[], patched: boolean): StateChange {
    const base = this.#head;
    if (this.#readers === 0 && !patched) return { next: changed(base, recipes, produce) };
    type Made = [unknown, StatePatch[], StatePatch[]];
    const [next, patches, inverse] = changed(base, recipes, produceWithPatches) as Made;
    const [forth, back] = byKey(patches, inverse, next);
    return { next, ...wholePatches(base, next, forth, back) };
  }

  /** Makes a prepared change the newest state. */
  accept(taskId: string, change: StateChange): void {
    this.#current = this.#head = change.next;
    this.newest = change.patches;
    this.seq += 1;
    if (this.#readers > 0) this.#track(taskId, change, 0);
  }

  /** Puts a prepared change in line: nobody sees it, but what is prepared or checked next builds on it. */
  reserve(taskId: string, change: StateChange): void {
    this.#head = change.next;
    this.#line.push({ taskId, change });
    if (this.#readers > 0) this.#track(taskId, change, this.#line.length);
  }

  /** Makes the first change in line the newest state. */
  publish(): void {
    const first = this.#line.shift();
    if (first === undefined) return;
    this.#current = first.change.next;
    this.newest = first.change.patches;
    this.seq += 1;
  }

  /** Forgets all changes in line. Their numbers are not used again: they may have been noted as writes. */
  withdraw(): void {
    this.#head = this.#current;
    this.seq += this.#line.length;
    this.#line.length = 0;
  }

  /** Begins from the state that a log leaves. */
  restore(state: unknown): void {
    this.#current = this.#head = state;
  }

  /** Notes who writes what, `ahead` commits after the newest state. */
  #track(taskId: string, { patches }: StateChange, ahead: number): void {
    for (const { path } of patches ?? []) this.#writes.write(path, this.seq + ahead, taskId);
  }
}

/** `base` as recipes change it. What they throw is thrown. */
function changed(
  base: unknown,
  recipes: readonly Recipe<never>[],
  make: (base: unknown, recipe: (draft: unknown) => void) => unknown,
): unknown {
  if (base === undefined) {
    const message = 'ctx.update was called but the workflow has no state; add state to its options.';
    throw new RxhiveError('INVALID_OPTION', message);
  }
  let fault: { readonly error: unknown } | undefined;
  try {
    return make(base, (draft) => {
      try {
        replay(draft, recipes);
      } catch (error) {
        fault = { error: readable(error, 'A recipe of ctx.update') };
        throw fault.error;
      }
    });
  } catch (error) {
    throw fault === undefined ? unwalkable(error) : fault.error;
  }
}

/** Immer looks into all that it is given: what it throws for what it cannot. */
function unwalkable(error: unknown): RxhiveError {
  const message =
    error instanceof RangeError
      ? `The state is nested too deep, or holds a circle; keep it within ${deepest} levels.`
      : `The state holds something that cannot be read (${messageOf(error)}); keep it plain data.`;
  return new RxhiveError('NOT_SERIALIZABLE', message, { cause: error });
}

function at(state: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(partOf, state);
}

/** A state with the changes of a log, frozen. Throws what does not apply. */
export function patched(state: unknown, patches: readonly StatePatch[]): unknown {
  return freeze(patches.length === 0 ? state : applied(state, patches), true);
}
