// Two people have to approve. The first process asks them and exits; for each answer another process goes on.
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { human, workflow } from '../lib/index.js';
import { sqlite } from '../lib/stores/sqlite.js';
import { vote } from './support/vote.js';

const flow = workflow({ name: 'approval', concurrency: 1 });
const draft = flow.task('draft', {
  run: () => {
    console.log('  draft is written (and paid for)');
    return 'Bees are busy.';
  },
});
const votes = ['editor', 'lawyer'].map((who) =>
  flow.task(who, {
    dependencies: { draft },
    run: ({ draft }, ctx) => ctx.ask(human(vote, { prompt: 'May we print this?', context: { draft } })),
  }),
);
flow.task('translate', { dependencies: { draft }, run: () => 'Die Bienen sind fleißig.' });
flow.task('print', {
  dependencies: votes,
  run: (all) => (all.every(({ ok }) => ok) ? 'printed' : 'not printed'),
});

const [file, questionId, answer] = process.argv.slice(2);
if (file === undefined) {
  const path = join(mkdtempSync(join(tmpdir(), 'rxhive-')), 'runs.db');
  // What people do elsewhere, in their own time and order.
  for (const call of [
    [],
    ['lawyer?1', '{"ok":true}'],
    ['editor?1', '"fine"'],
    ['editor?1', '{"ok":true,"note":"nice"}'],
  ]) {
    console.log(call.length === 0 ? 'first process' : `${call[0]} is answered ${call[1]}`);
    spawnSync(process.execPath, ['--import', 'tsx', process.argv[1] as string, path, ...call], {
      stdio: 'inherit',
    });
  }
} else {
  const store = sqlite(file);
  try {
    const result =
      questionId === undefined
        ? await flow.run({ store, runId: 'post-1', suspend: 'exit' }).result()
        : await flow.answer(store, 'post-1', questionId, JSON.parse(answer as string));
    console.log(`  ${result.status}: ${result.results.get('print') ?? 'waits for people'}`);
    for (const { id, prompt } of result.questions) console.log(`  open: ${id} ${prompt}`);
  } catch (error) {
    console.log(`  ${(error as Error).message}`);
  }
  store.close();
}
