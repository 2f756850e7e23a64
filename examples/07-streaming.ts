import { from, lastValueFrom, map, scan, tap } from 'rxjs';
import { latest, runWorkflow, typed, workflow } from '../lib/index.js';

// A draft arrives word by word; words are counted while it does, and the title waits for the end.
const flow = workflow({ name: 'draft', input: typed<string>() });

const draft = flow.task('draft', {
  run: async function* (_, ctx) {
    let text = '';
    for (const word of ctx.input.split(' ')) {
      await ctx.sleep(20);
      text = `${text} ${word}`.trim();
      yield text;
    }
  },
});

const words = flow.task('words', {
  dependencies: { draft: latest(draft) },
  run: (inputs$) => inputs$.pipe(map(({ draft }) => draft.split(' ').length)),
});

const title = flow.task('title', {
  dependencies: { draft, words },
  run: ({ draft, words }) => `${draft.slice(0, 12)}... (${words} words)`,
});

// One run, watched from inside.
const run = flow.run({ input: 'a hive holds some fifty thousand bees' });
run.values$(words).subscribe((count) => console.log(`words so far: ${count}`));
const result = await run.result();
console.log(`title: ${result.results.get(title)}`);

// The same workflow as an operator over many inputs, two runs at once.
const inputs = ['bees dance', 'bees sleep at night', 'a queen lays eggs'];
const done$ = from(inputs).pipe(
  runWorkflow(flow, { concurrency: 2 }),
  map((one) => one.results.get(words) ?? 0),
  tap((count) => console.log(`a draft of ${count} words`)),
  scan((sum, count) => sum + count, 0),
);
console.log(`words in all: ${await lastValueFrom(done$)}`);
