export { SimulationScheduler } from '../kernel/simulation-scheduler.js';
export { advance } from './advance.js';
