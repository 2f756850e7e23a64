import { NEVER, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memory, type Workflow, workflow } from '../lib/index.js';
import { SimulationScheduler } from '../lib/testing/index.js';

/** Runs until nothing happens any more, dies, goes on, and dies again; the ids of bodies called in each life. */
function twoLives(make: (ran: string[]) => Workflow): [string[], string[], ReadonlyMap<string, string>] {
  const lives: [string[], string[]] = [[], []];
  let store = memory();
  let tasks: ReadonlyMap<string, string> = new Map();
  for (const ran of lives) {
    const scheduler = new SimulationScheduler();
    const run = make(ran).run({ store, runId: 'r', scheduler, durability: 'sync' });
    void run.result();
    scheduler.flush();
    store = memory(store.dump());
    tasks = run.snapshot().tasks;
  }
  return [...lives, tasks];
}

test('what a handler had added and finished is restored, not run again', () => {
  const [first, second, tasks] = twoLives((ran) => {
    const flow = workflow({ name: 'added' });
    const plan = flow.task('plan', { run: () => of(1) });
    flow.task('endless', { run: () => NEVER });
    flow.onTaskComplete(plan, (_, add) =>
      add('added', {
        dependencies: [plan],
        run: () => {
          ran.push('added');
          return of(2);
        },
      }),
    );
    return flow as unknown as Workflow;
  });
  assert.equal(first, ['added']);
  assert.equal(second, []);
  assert.is(tasks.get('added'), 'restored');
});

test('children of a task that failed for good keep their results', async () => {
  const make = (): Workflow => {
    const flow = workflow({ name: 'children' });
    flow.task('parent', {
      run: async (_, ctx) => {
        await ctx.join(ctx.spawn('child', { run: () => 'paid' }));
        throw new Error('after the child');
      },
    });
    return flow as unknown as Workflow;
  };
  const store = memory();
  await make().run({ store, runId: 'r' }).result();
  const result = await make().run({ store, runId: 'r' }).result();
  assert.is(result.tasks.get('child')?.status, 'restored');
  assert.is(result.results.get('child'), 'paid');
  assert.is(result.tasks.get('parent')?.status, 'failed');
  const again = await make().run({ store, runId: 'r', retry: 'failed' }).result();
  assert.is(again.tasks.get('child')?.status, 'restored');
});

test.run();
