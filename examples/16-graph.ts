import { settled, workflow } from '../lib/index.js';

const flow = workflow({ name: 'review', groups: { llm: { concurrency: 2 } } });
const plan = flow.task('plan', { group: 'llm', run: async () => ['style', 'safety'] });
const style = flow.task('style', { group: 'llm', dependencies: { plan }, run: async ({ plan }) => plan[0] });
const safety = flow.task('safety', {
  group: 'llm',
  dependencies: { plan },
  run: async ({ plan }) => plan[1],
});
flow.task('verdict', {
  dependencies: { style: settled(style), safety: settled(safety) },
  run: ({ style, safety }) => `${style.status}, ${safety.status}`,
});

export default flow;
