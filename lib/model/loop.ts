import type { Observable } from 'rxjs';
import type { TaskContext } from './context.js';
import type { InputsOf } from './dependency.js';
import type { Executor } from './executor.js';
import type { TaskSettings } from './task.js';

/** What a turn makes of the value before it: a value, a promise, or a stream, of which the last value counts. */
export type NextValue<V> = V | PromiseLike<V> | AsyncIterable<V> | Observable<V>;

/** Who does the work of a turn. `V` the value that goes round, `D` dependencies, `S` state, `I` workflow input. */
export type LoopWork<V, D, S = unknown, I = unknown> =
  | {
      /** One turn: makes the next value of the last one. `inputs`: the results of `dependencies`. */
      readonly run: (last: V, ctx: TaskContext<S, I>, inputs: InputsOf<D>) => NextValue<NoInfer<V>>;
      readonly executor?: undefined;
    }
  | {
      /** Does the turns elsewhere, for example `threads({ file })` of `rxhive/threads`; it is given the last value. */
      readonly executor: Executor<V, unknown>;
      readonly run?: undefined;
    };

/**
 * How `flow.loop` is to run. Of the options of a task, `dependencies`, `when` and `tolerate` are of the loop as a whole, all others
 * of each turn. `V` the value that goes round, `D` dependencies, `S` state, `I` workflow input, `G` group names, `X` resource names.
 */
export type LoopOptions<
  V,
  D,
  S = unknown,
  I = unknown,
  G extends string = string,
  X extends string = string,
> = Omit<TaskSettings<D, S, I, G, X, V>, 'always' | 'cache' | 'compensate' | 'tokens'> & {
  /** The value that the first turn is given: one that can be copied, or a function of the results of `dependencies` that returns it, or a promise of it. */
  readonly from: V | ((inputs: InputsOf<D>) => V | PromiseLike<V>);
  /**
   * Is it done? Asked after each turn with what that has made, within no slot limit of a group: let a model judge in `run`. What it
   * throws fails the loop with `CALLBACK_FAILED`. It may be asked again for the newest turn where a run goes on.
   */
  readonly until: (value: NoInfer<V>, ctx: TaskContext<S, I>) => boolean | PromiseLike<boolean>;
  /** Turns at most. Whole number from 1, or Infinity. */
  readonly max: number;
  /**
   * When it is not done after `max` turns: `fail`, with `LOOP_LIMIT` (the values are results of the turns); or `keep` the last value as
   * the result. Default `fail`.
   */
  readonly atMax?: 'fail' | 'keep';
  /** Tokens a turn will use, in and out; as the option of a task. Default: learnt. */
  readonly tokens?: number;
} & LoopWork<V, D, S, I>;
