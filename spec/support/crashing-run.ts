import { appendFileSync } from 'node:fs';
import { channel, RxhiveError, type TaskContext, workflow } from '../../lib/index.js';
import { postgres } from '../../lib/stores/postgres.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { endWithParent } from './ends-with-parent.js';

// A run that its parent kills or stops. Arguments: store (a file, or a schema and an address), a file that notes what
// happens, durability, ms each body takes. Prints `loaded` before it opens the store, `begun` with its first body, and the
// result or the code of the error as JSON.
endWithParent();
const [place = '', notes = '', how = 'sync', pace = '2'] = process.argv.slice(2);
const [durability, compact] = how.split('+');
const [schema = '', address] = place.split(' ');
const store = address === undefined ? sqlite(schema) : postgres(address, { schema });
interface Shared {
  sum: number;
  order: Record<string, number>;
  heard: Record<string, string[]>;
}
type Context = Pick<TaskContext<Shared>, 'update' | 'sleep' | 'replaying'>;
const flow = workflow({
  name: 'crashing',
  concurrency: 3,
  state: { sum: 0, order: {}, heard: {} } as Shared,
});
const words = channel<string>('words');
/** A replay does nothing but add what has not ended: it is no call of a finished body. */
const note = (id: string, ctx: Context): void =>
  appendFileSync(notes, `${ctx.replaying === undefined ? 'began' : 'replayed'} ${id}\n`);
const small = async (id: string, ctx: Context): Promise<string> => {
  note(id, ctx);
  await ctx.sleep(Number(pace));
  ctx.update((s) => {
    s.sum += 1;
    s.order[id] = -1;
  });
  return id;
};
const typed = flow.taskType('small', { run: (id: string, ctx) => small(id, ctx) });
let before: ReturnType<typeof flow.task>[] = [];
for (let layer = 0; layer < 6; layer++) {
  before = [0, 1, 2].map((i) => {
    const id = `t${layer}_${i}`;
    return flow.task(id, {
      dependencies: before,
      run: async (_, ctx) => {
        note(id, ctx);
        // The second waits for what it adds, of both sorts; the third does not.
        if (i > 0) {
          const data = ctx.spawn(typed, `${id}/data`, `${id}/data`);
          const closure = ctx.spawn(`${id}/closure`, {
            version: '1',
            run: (_, own) => small(`${id}/closure`, own),
          });
          if (i === 1) await ctx.join([data, closure]);
        }
        // The first of each layer tells the others two words, whenever they begin.
        const heard: string[] = [];
        // Not at once: who is frozen as soon as the layer before has ended must not have the lock of the file.
        await ctx.sleep(Number(pace));
        if (i === 0) await ctx.send(words, 'one');
        await ctx.sleep(1 + Number(pace) * (i % 2));
        if (i === 0) await ctx.send(words, 'two');
        else for await (const { value } of ctx.receive$(words, { from: `t${layer}_0` })) heard.push(value);
        ctx.update((s) => {
          if (i > 0) s.heard[id] = heard;
          s.sum += layer * 3 + i;
          s.order[id] = layer;
        });
        return id;
      },
    });
  });
}
const run = flow.run({
  store,
  runId: 'crash',
  durability: durability as 'sync' | 'group' | 'exit',
  ...(compact && { compact: { keep: 1 } }),
});
run.events$.subscribe({
  next: (event) => {
    if (event.type === 'attempt' && event.attempt === 1 && event.reason === 'started') begin();
    // Who is told of a success in `sync` mode may rely on it.
    if (event.type === 'task' && event.reason === 'succeeded')
      appendFileSync(notes, `acknowledged ${event.taskId}\n`);
  },
  error: () => undefined,
});
let begun = false;
function begin(): void {
  if (!begun) console.log('begun');
  begun = true;
}
console.log('loaded');
try {
  const { status, state, report, error } = await run.result();
  const code = error === undefined ? {} : { code: error.code };
  console.log(JSON.stringify({ status, state, counts: report.counts, ...code }));
} catch (error) {
  console.log(JSON.stringify({ code: error instanceof RxhiveError ? error.code : String(error) }));
}
await store.close();
