import { appendFileSync } from 'node:fs';
import { workflow } from '../../lib/index.js';
import { sqlite } from '../../lib/stores/sqlite.js';

// A run that its parent kills. Arguments: store file, file that notes each body that began.
const [file = '', notes = '', durability = 'sync'] = process.argv.slice(2);
const flow = workflow({
  name: 'crashing',
  concurrency: 3,
  state: { sum: 0, order: {} as Record<string, number> },
});
let before: ReturnType<typeof flow.task>[] = [];
for (let layer = 0; layer < 6; layer++) {
  before = [0, 1, 2].map((i) => {
    const id = `t${layer}_${i}`;
    return flow.task(id, {
      dependencies: before,
      run: async (_, ctx) => {
        appendFileSync(notes, `${id}\n`);
        await ctx.sleep(1);
        ctx.update((s) => {
          s.sum += layer * 3 + i;
          s.order[id] = layer;
        });
        return id;
      },
    });
  });
}
const store = sqlite(file);
const result = await flow.run({ store, runId: 'crash', durability: durability as 'sync' | 'group' }).result();
store.close();
console.log(JSON.stringify({ status: result.status, state: result.state, counts: result.report.counts }));
