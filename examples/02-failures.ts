import { setTimeout as pause } from 'node:timers/promises';
import { exponential, optional, workflow } from '../lib/index.js';

// Three sources at once, one of them flaky, one of them gone; a brief from what there is.
const flow = workflow({
  name: 'brief',
  concurrency: 8,
  groups: { web: { concurrency: 2 } },
  state: { read: [] as string[] },
});

const wiki = flow.task('wiki', { group: 'web', run: (_, ctx) => pause(200, 'hives hold bees', ctx) });

const news = flow.task('news', {
  group: 'web',
  retry: { count: 3, backoff: exponential({ initial: 50, max: 500 }) },
  run: async (_, ctx) => {
    await pause(100, undefined, ctx);
    if (ctx.attempt < 3) throw new Error('503: try again');
    ctx.update((state) => {
      state.read.push('news');
    });
    return 'bees are busy';
  },
});

const archive = flow.task('archive', {
  group: 'web',
  run: async (): Promise<string> => {
    throw Object.assign(new Error('404: no such page'), { status: 404 });
  },
});

flow.task('history', { dependencies: { archive }, run: ({ archive }) => archive.length });

const brief = flow.task('write', {
  dependencies: { wiki, news, archive: optional(archive) },
  priority: 1,
  run: ({ wiki, news, archive }) => `${wiki}; ${news}; ${archive ?? 'nothing from the archive'}`,
});

const run = flow.run();
run.events$.subscribe((event) => {
  if (event.type === 'task' && event.reason !== 'waiting' && event.reason !== 'ready') {
    console.log(`${String(event.at).padStart(5)} ms  ${event.taskId.padEnd(8)} ${event.reason}`);
  }
});
run.result$(brief).subscribe((text) => console.log(`brief: ${text}`));

const result = await run.result();
console.log(String(result.report));
console.log('state:', JSON.stringify(result.state));
