import { workflow } from '../lib/index.js';

const flow = workflow({ name: 'w', groups: { none: {} } });
flow.task('a', { run: () => 1 });
export default flow;
