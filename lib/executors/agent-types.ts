import type { TaskType } from '../model/task.js';

/** What an agent of a worker takes. */
export type AgentInputs<F> =
  F extends TaskType<infer T, unknown>
    ? T
    : F extends (inputs: infer I, ...rest: never[]) => unknown
      ? I
      : F extends { run(inputs: infer I, ...rest: never[]): unknown }
        ? I
        : never;

/** What an agent of a worker returns. */
export type AgentReturns<F> =
  F extends TaskType<never, infer O>
    ? O
    : F extends (...all: never[]) => infer R
      ? R
      : F extends { run(...all: never[]): infer R }
        ? R
        : never;
