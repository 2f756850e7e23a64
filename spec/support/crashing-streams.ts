import { writeSync } from 'node:fs';
import { from, lastValueFrom, reduce } from 'rxjs';
import { controller, runWorkflow, type WorkflowEvent, workflow } from '../../lib/index.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { endWithParent } from './ends-with-parent.js';

// Values that go through stages, an operator or runs of a workflow; its parent kills it. Arguments: the file of the store,
// and which of the three. Writes a line as a body begins (`began`), as a success is told that is in the log (`told`), and at last
// what it all comes to (`end`), each at once.
endWithParent();
const [file = '', what = ''] = process.argv.slice(2);
const say = (word: string, text: string): void => void writeSync(1, `${word} ${text}\n`);
const store = sqlite(file);
const numbers = Array.from({ length: 30 }, (_, i) => i);
interface Context {
  readonly runId: string;
  readonly taskId: string;
  sleep(ms: number): Promise<void>;
}
const work = async (n: number, ctx: Context): Promise<number> => {
  say('began', `${ctx.runId}:${ctx.taskId}`);
  await ctx.sleep(1 + (n % 3));
  return n + 1;
};
const tell = (event: WorkflowEvent): void => {
  if (event.type === 'task' && event.reason === 'succeeded') say('told', `${event.runId}:${event.taskId}`);
};
const add = { seed: 0, step: (sum: number, n: number) => sum + n };

const programs: Readonly<Record<string, () => Promise<unknown>>> = {
  stages: async () => {
    const flow = workflow({ name: 'stages', concurrency: 4 });
    const first = flow.each('first', { from: numbers, run: (n, ctx) => work(n, ctx) });
    const pairs = flow.each('pairs', {
      from: first,
      batch: { size: 2 },
      run: async ([a = 0, b = 0], ctx) => (await work(a, ctx)) + b,
    });
    const last = flow.each('last', { from: pairs, run: (n, ctx) => work(n, ctx), scan: add });
    const run = flow.run({ store, runId: 'stages', durability: 'sync' });
    run.events$.subscribe({ next: tell, error: () => undefined });
    const { status, results } = await run.result();
    return [status, results.get(last)?.reduced];
  },
  operators: () => {
    const hive = controller({ name: 'hive', concurrency: 4 });
    const kept = { store, ordered: true };
    return lastValueFrom(
      from(numbers).pipe(
        hive.mergeMap('double', async (n, ctx) => 2 * (await work(n, ctx)), kept),
        hive.concatMap('next', (n, ctx) => work(n, ctx), kept),
        reduce((sum, n) => sum + n, 0),
      ),
    );
  },
  runWorkflow: () => {
    const hive = controller({ name: 'hive', concurrency: 4 });
    hive.events$.subscribe(tell);
    const flow = workflow({ name: 'job', controller: hive, state: { sum: 0 } });
    const begin = flow.task('begin', { run: (_, ctx) => work(Number(ctx.input), ctx) });
    flow.task('end', {
      dependencies: { begin },
      run: async ({ begin }, ctx) => {
        const n = await work(begin, ctx);
        ctx.update((state) => {
          state.sum += n;
        });
      },
    });
    return lastValueFrom(
      from(numbers.slice(0, 15)).pipe(
        runWorkflow(flow as never, {
          store,
          durability: 'sync',
          concurrency: 3,
          runId: (n: number) => `job-${n}`,
        }),
        reduce(
          (all, { status, state }) => [
            ...all,
            status === 'succeeded' ? (state as { sum: number }).sum : status,
          ],
          [] as unknown[],
        ),
      ),
    );
  },
};
try {
  say('end', JSON.stringify(await programs[what]?.()));
} catch (error) {
  say('end', String(error));
}
await store.close();
