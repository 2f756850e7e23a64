import type { TaskNode } from '../graph/node.js';
import { truncate } from '../kernel/errors.js';
import { badReturn, callUser, faultOf } from '../kernel/guard.js';
import { settleMaybe } from '../kernel/maybe-promise.js';
import { inputsOf } from './inputs.js';

/** What comes of a condition. */
interface Decision {
  runs(): void;
  skips(): void;
  failed(error: unknown): void;
}

/** Does an attempt of the task have to ask its condition? What was answered holds. */
export function hasToAsk({ definition, extra, principal }: TaskNode): boolean {
  return definition.when !== undefined && extra?.replay === undefined && principal.extra?.admitted !== true;
}

/** Asks the condition of a task, where its body runs. */
export function askCondition(node: TaskNode, ctx: unknown, { runs, skips, failed }: Decision): void {
  const callback = `Task "${truncate(node.id)}": when`;
  const when = node.definition.when as unknown as (inputs: unknown, ctx: unknown) => unknown;
  const ask = (): unknown => callUser(callback, () => when(inputsOf(node), ctx));
  const { context } = node.principal;
  settleMaybe(
    () => (context === undefined ? ask() : context.runInAsyncScope(ask)),
    (answer) => {
      if (answer === true) {
        node.principal.more().admitted = true;
        runs();
      } else if (answer === false) skips();
      else failed(badReturn(callback, answer, 'true or false, or a promise of it'));
    },
    (error) => failed(faultOf(error, callback)),
  );
}
