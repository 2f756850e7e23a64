import { threads } from '../../lib/executors/threads.js';
import { workflow } from '../../lib/index.js';

/** A program that ends by itself, though its thread would stay idle for a minute. */
const file = new URL('./thread-work.ts', import.meta.url);
const flow = workflow({ name: 'ends' });
flow.task('facts', { executor: threads({ file, name: 'facts', idleTimeout: 60_000 }) });
console.log((await flow.run().result()).status);
