import { type Controller, controller, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** Two tenants share two slots and take turns, however much one of them asks for. An urgent run overtakes both. */
export const office = (): Controller =>
  controller({ name: 'office', concurrency: 2, fair: ({ tags }) => tags.tenant ?? '' });

/** Pages that do not need each other. */
export function pages(name: string, count: number) {
  const flow = workflow({ name });
  for (let n = 1; n <= count; n++)
    flow.task(`${name} ${n}`, { type: 'page', run: (_, { signal }) => services.ask(`Page ${n}`, signal) });
  return flow;
}
