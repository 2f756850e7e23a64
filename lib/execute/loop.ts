import { Observable, type Subscriber } from 'rxjs';
import { contentText } from '../codec/canonical.js';
import { isDecided } from '../graph/choice-state.js';
import type { TaskNode } from '../graph/node.js';
import { copy } from '../kernel/copy.js';
import { RxhiveError, type TaskSkippedError, truncate } from '../kernel/errors.js';
import { badReturn, callUser, faultOf } from '../kernel/guard.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import { checkAll, isFunction, needed, number, oneOf, type Rules, required } from '../kernel/option-rules.js';
import { readOrRefuse } from '../kernel/read-once.js';
import { type Dependencies, Dependency, readsStream, type Task } from '../model/dependency.js';
import { bodied } from '../model/executor.js';
import type { LoopOptions } from '../model/loop.js';
import { belowTask, type TaskDefinition, TaskType, type TypeMaker } from '../model/task.js';
import type { AttemptContext } from './context.js';
import { inputsOf } from './inputs.js';

/** Options of `flow.loop` with all types forgotten. */
type Options = LoopOptions<unknown, never>;

const rules: Rules<Pick<Options, 'until' | 'max' | 'atMax'>> = {
  until: required(isFunction, 'give a function of the value that returns true or false'),
  max: needed((value, where, fault) => {
    if (value === undefined) fault('bad-option', `${where} is missing; give the number of turns at most.`);
    else number(1, 'whole', 'infinite')(value, where, fault);
  }),
  atMax: oneOf(['fail', 'keep']),
};

/** What a loop goes by. */
interface How extends Pick<Options, 'from' | 'until' | 'max' | 'atMax'> {
  /** The id of the loop where it is defined. */
  readonly id: string;
  readonly turn: TaskType<First | undefined, unknown>;
  /** What the loop depends on. The first turn does, too: where that has changed, so has what it was given. */
  readonly needs: Dependencies | undefined;
}

/** What the first turn is made of. */
interface First {
  readonly from: unknown;
}

/**
 * The task behind `flow.loop`: adds a task for each turn, waits for it without a slot, and says its value. Each turn but the first depends
 * on the one before, whose result it is given; `register` takes what makes them, so that they come back from a log by themselves.
 * @throws RxhiveError INVALID_OPTION
 */
export function loopTask(
  id: string,
  options: object,
  register: (name: string, make: TypeMaker) => TypeMaker,
): TaskDefinition {
  const name = `flow.loop "${truncate(String(id))}"`;
  const given = readOrRefuse(name, options, belowTask) as Options;
  const { from, until, max, atMax, dependencies, when, tolerate, priority, ...ofTurns } = given ?? {};
  checkAll(rules, given ?? {}, `${name}: `, (_, message) => {
    throw new RxhiveError('INVALID_OPTION', message);
  });
  if (!('from' in given))
    throw new RxhiveError(
      'INVALID_OPTION',
      `${name}: from is missing; give the value that the first turn gets.`,
    );
  for (const one of Object.values((dependencies ?? {}) as Dependencies))
    if (one instanceof Dependency && readsStream(one.mode))
      throw new RxhiveError(
        'INVALID_OPTION',
        `${name} depends on ${one.mode}(...), a stream that goes on; depend on the result of "${truncate(one.task.id)}".`,
      );
  const body = bodied(ofTurns as object as TaskDefinition);
  const work = body.run as unknown as (last: unknown, ctx: unknown, inputs: unknown) => unknown;
  const start = typeof from === 'function' ? String(from) : contentText(from);
  const make: TypeMaker = ({ data, options: own, dependencies: needs }) => ({
    ...body,
    ...own,
    type: ofTurns.type ?? id,
    priority,
    ...(data !== undefined && { data }),
    ...(needs !== undefined && { dependencies: needs }),
    // Its failure is that of the loop, and it ends with it.
    candidate: true,
    version: body.version ?? `${data === undefined ? '' : start}\n${String(given.run)}`,
    // What is no function is for the plan to say.
    ...(typeof work === 'function' && {
      run: (inputs: unknown, ctx: unknown) =>
        work(
          data === undefined ? (inputs as readonly unknown[])[0] : copy(data as First).from,
          ctx,
          inputsOfLoop(ctx),
        ),
    }),
  });
  const turn = new TaskType<First | undefined, unknown>(`${id}/turn`, register(`${id}/turn`, make));
  const how: How = { id, turn, from, until, max, needs: dependencies, ...(atMax !== undefined && { atMax }) };
  return {
    ...(dependencies !== undefined && { dependencies }),
    ...(when !== undefined && { when: when as never }),
    ...(tolerate !== undefined && { tolerate }),
    priority,
    retry: 0,
    timeout: {},
    version: start,
    loop: {
      max,
      turn: make({ id, data: undefined, options: {}, dependencies: undefined }),
      until: String(until),
    },
    run: (inputs: unknown, ctx: unknown) =>
      new Observable((subscriber) => new Loop(ctx as AttemptContext, inputs, how, subscriber).goOn(0)),
  };
}

/** What the loop, which has added the turn, depends on. */
function inputsOfLoop(ctx: unknown): unknown {
  const parent = (ctx as Partial<AttemptContext>).node?.principal.parent;
  return parent === undefined ? {} : inputsOf(parent);
}

/** A turn that has ended. */
interface Turned {
  readonly task: Task;
  readonly value: unknown;
}

/** One attempt of a loop: goes through the turns there are, and adds others. */
class Loop {
  readonly #ctx: AttemptContext;
  readonly #inputs: unknown;
  readonly #how: How;
  readonly #subscriber: Subscriber<unknown>;

  constructor(ctx: AttemptContext, inputs: unknown, how: How, subscriber: Subscriber<unknown>) {
    this.#ctx = ctx;
    this.#inputs = inputs;
    this.#how = how;
    this.#subscriber = subscriber;
  }

  /** What follows after `turn` turns. One that is there was decided in an earlier process. */
  goOn(turn: number, last?: Turned): void {
    const known = this.#known(turn);
    if (known !== undefined) this.#join(turn, known.handle);
    else if (last === undefined) this.#begin();
    else
      this.#ask(last, (isDone) => {
        const { id, max, atMax } = this.#how;
        if (isDone || (turn >= max && atMax === 'keep')) this.#subscriber.complete();
        else if (turn < max) this.#add(turn, undefined, [last.task]);
        else this.#subscriber.error(limitReached(this.#ctx.taskId, id, max));
      });
  }

  #known(turn: number): TaskNode | undefined {
    const { node, ports } = this.#ctx;
    return ports.graph.childOf(node.principal, `${node.id}/${turn}`);
  }

  #begin(): void {
    const { from } = this.#how;
    const callback = `Task "${truncate(this.#ctx.taskId)}": from`;
    const first = (): unknown =>
      typeof from === 'function' ? (from as (inputs: unknown) => unknown)(this.#inputs) : from;
    this.#settle(first, callback, (value) => this.#add(0, { from: value }, this.#how.needs));
  }

  #ask({ value }: Turned, then: (isDone: boolean) => void): void {
    const { until } = this.#how;
    const callback = `Task "${truncate(this.#ctx.taskId)}": until`;
    this.#settle(
      () => until(copy(value) as never, this.#ctx),
      callback,
      (answer) => {
        if (typeof answer !== 'boolean')
          throw badReturn(callback, answer, 'true or false, or a promise of it');
        then(answer);
      },
    );
  }

  #add(turn: number, data: First | undefined, dependencies: Dependencies | undefined): void {
    const { id, turn: type } = this.#how;
    this.#join(turn, this.#ctx.spawn(type, `${id}/${turn}`, data, dependencies && { dependencies }));
  }

  #join(turn: number, task: Task): void {
    settleMaybe(
      () => this.#ctx.join(task),
      this.#guarded((value) => {
        this.#subscriber.next(copy(value));
        this.goOn(turn + 1, { task, value });
      }),
      (error) => {
        const node = this.#known(turn);
        if (node !== undefined && isDecided(node)) this.#skip((node.error as TaskSkippedError).because);
        else this.#subscriber.error(error);
      },
    );
  }

  /** Ends as the turn has ended. */
  #skip(because: string): void {
    try {
      this.#ctx.skip(because);
    } catch {
      // So it says to a body that it has ended.
    }
  }

  /** Goes on with what a function of the user returns; what it throws fails the attempt, under its name. */
  #settle(make: () => unknown, callback: string, then: (value: unknown) => void): void {
    const failed = (error: unknown): void => this.#subscriber.error(faultOf(error, callback));
    settleMaybe(() => callUser(callback, make), this.#guarded(then), failed);
  }

  /** Unless the attempt has ended meanwhile. */
  #guarded(then: (value: unknown) => void): (value: unknown) => void {
    return (value) => {
      if (this.#subscriber.closed) return;
      try {
        then(value);
      } catch (error) {
        this.#subscriber.error(error);
      }
    };
  }
}

function limitReached(taskId: string, id: string, max: number): RxhiveError {
  const message = `Loop "${truncate(id)}" is not done after ${max} turns: until has never returned true. Raise max, or keep the last value with atMax: 'keep'.`;
  return new RxhiveError('LOOP_LIMIT', message, { details: { taskId, max } });
}
