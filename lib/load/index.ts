export type { LoadSample } from '../model/load.js';
export { type SystemLoadOptions, systemLoad } from './system-load.js';
