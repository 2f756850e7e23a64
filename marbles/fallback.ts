import type { Settled } from '../lib/entry/types.js';
import { settled, type Task, workflow } from '../lib/index.js';
import { services } from './support/services.js';

/** The best model first; when it fails the next, then the one that runs here. Each has its own patience. */
export const fallback = workflow({ name: 'fallback' });

const models = [
  { name: 'large', timeout: 8_000 },
  { name: 'small', timeout: 4_000 },
  { name: 'local', timeout: 30_000 },
];
let before: Task<string | undefined> | undefined;
for (const { name, timeout } of models) {
  const dependencies: { before?: ReturnType<typeof settled<string | undefined>> } =
    before === undefined ? {} : { before: settled(before) };
  before = fallback.task(name, {
    dependencies,
    timeout,
    run: (inputs, { signal }) => answered(inputs.before) ?? services.ask('Answer', signal),
  });
}
export const answer = before as Task<string>;

function answered(outcome: Settled<string | undefined> | undefined): string | undefined {
  return outcome?.status === 'succeeded' ? outcome.value : undefined;
}
