import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { workflow } from '../lib/index.js';
import { sqlite } from '../lib/stores/sqlite.js';

// A run kills its own process half way (kill -9) and a second process goes on: nothing that finished runs again. The calls are
// tasks of a type, which a planner adds: they come back by their data, the planner is not called again.
const [file] = process.argv.slice(2);

async function work(path: string): Promise<void> {
  const flow = workflow({ name: 'resume', concurrency: 2, state: { paid: 0 } });
  const call = flow.taskType('call', {
    run: async ({ n }: { n: number }, ctx) => {
      await ctx.sleep(100 * n);
      ctx.update((s) => {
        s.paid += 1;
      });
      return `answer ${n}`;
    },
  });
  const report = flow.taskType('report', {
    run: (_: null, _ctx, answers) => Object.values(answers).join(', '),
  });
  flow.task('plan', {
    run: (_, ctx) => {
      console.log('  plan is called');
      const calls = [1, 2, 3, 4].map((n) => ctx.spawn(call, `call_${n}`, { n }));
      ctx.spawn(report, 'report', null, { dependencies: calls });
    },
  });
  const store = sqlite(path);
  const run = flow.run({ store, runId: 'demo', durability: 'sync' });
  run.events$.subscribe((event) => {
    if (event.type === 'run' && event.reason === 'resumed')
      console.log(`  goes on with ${event.restored} finished tasks`);
    if (event.type !== 'task' || (event.reason !== 'succeeded' && event.reason !== 'restored')) return;
    console.log(`  ${event.taskId} ${event.reason}`);
    if (event.taskId === 'call_2' && event.reason === 'succeeded') process.kill(process.pid, 'SIGKILL');
  });
  const result = await run.result();
  store.close();
  console.log(`  ${result.status}: ${result.results.get('report')}; paid for ${result.state.paid} calls`);
}

if (file !== undefined) await work(file);
else {
  const path = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'runs.db');
  for (const time of ['first', 'second']) {
    console.log(`${time} process`);
    const { signal } = spawnSync(process.execPath, ['--import', 'tsx', process.argv[1] as string, path], {
      stdio: 'inherit',
    });
    if (signal !== null) console.log(`  killed by ${signal}`);
  }
}
