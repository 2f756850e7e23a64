// Served by mcp-serve.spec.ts with `rxhive mcp`. It prints, which must not disturb the protocol.
import { AgentTask, human, typed, WorkflowOrchestrator, workflow } from 'rxhive';
import { z } from 'zod';

console.log('loading');

const flow = workflow({
  name: 'word count',
  description: 'Counts words, several texts at once',
  input: z.object({ texts: z.array(z.string()) }),
  concurrency: 4,
});
const counts = ['first', 'second', 'third'].map((id, i) =>
  flow.task(id, {
    run: (_, ctx) => {
      console.log('counting');
      return (ctx.input.texts[i] ?? '').split(' ').filter((word) => word !== '').length;
    },
  }),
);
flow.task('sum', { dependencies: counts, run: (all) => ({ words: all.reduce((sum, n) => sum + n, 0) }) });
export default flow;

export const order = workflow({ name: 'order', input: typed<{ what: string }>() });
const count = order.task('count', {
  run: (_, ctx) =>
    ctx.ask(human(typed<number>(), { prompt: `How many ${ctx.input.what}?`, context: { shop: 'bees' } })),
});
order.task('ordered', { dependencies: { count }, run: ({ count }, ctx) => `${count} ${ctx.input.what}` });

export const endless = workflow({ name: 'endless' });
endless.task('wait', {
  run: (_, ctx) => {
    ctx.signal.addEventListener('abort', () => console.error('endless was stopped'));
    return new Promise<never>(() => undefined);
  },
});

export const broken = workflow({ name: 'broken' });
broken.task('fails', {
  run: () => {
    throw new Error('no honey');
  },
});

export const talk = new WorkflowOrchestrator({ agents: { say: () => 'hello' } });
talk.addTask(new AgentTask({ id: 'hello', agentType: 'say' }));
