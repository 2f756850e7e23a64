import { enableMapSet, freeze, isDraftable, produce } from 'immer';
import { RxhiveError, shown } from '../kernel/errors.js';
import type { Recipe } from '../model/context.js';

enableMapSet();

/** The shared state of a run: immutable snapshots, replaced by each commit that changes something. */
export class State {
  /** Number of the last commit; 0 before the first. */
  seq = 0;
  #current: unknown;

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

  /** The state as it would be with `recipes` applied. */
  preview(recipes: readonly Recipe<never>[] | undefined): unknown {
    return recipes === undefined ? this.#current : replay(this.#current, recipes);
  }

  /** Replays a task's recipes on the newest state, all or none. */
  commit(recipes: readonly Recipe<never>[]): void {
    this.#current = replay(this.#current, recipes);
    this.seq += 1;
  }
}

function replay(base: unknown, recipes: readonly Recipe<never>[]): unknown {
  if (base === undefined) {
    throw new RxhiveError(
      'INVALID_OPTION',
      'ctx.update was called but the workflow has no state; add state to its options.',
    );
  }
  return produce(base, (draft: unknown) => {
    for (const recipe of recipes) {
      const returned = recipe(draft as never);
      if (typeof (returned as PromiseLike<unknown> | undefined)?.then === 'function') {
        throw new RxhiveError(
          'INVALID_OPTION',
          'A recipe of ctx.update returned a promise; await first, then update.',
        );
      }
    }
  });
}
