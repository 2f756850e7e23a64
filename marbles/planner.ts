import { settled, type TaskContext, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** A planner makes steps, each step is a task; when one fails the planner is asked again, knowing what was done. */
export const planner = workflow({ name: 'planner', concurrency: 4 });

async function execute(round: number, done: readonly string[], ctx: TaskContext): Promise<readonly string[]> {
  const plan = ctx.spawn(`plan ${round}`, {
    type: 'plan',
    run: (_, { signal }) => services.ask(`Steps after ${done.join()}`, signal),
  });
  const steps = (await ctx.join(plan))
    .split(' ')
    .map((step) => ctx.spawn(step, { type: 'step', run: (_, { signal }) => services.call(step, signal) }));
  const outcomes = await ctx.join(steps.map((step) => settled(step)));
  const finished = [...done, ...outcomes.flatMap((one) => (one.status === 'succeeded' ? [one.value] : []))];
  const failed = outcomes.some((one) => one.status === 'failed');
  return failed && round < 3 ? execute(round + 1, finished, ctx) : finished;
}

export const goal = planner.task('goal', { run: (_, ctx) => execute(1, [], ctx as TaskContext) });
