export type { ConformanceCheck } from './check.js';
export { type StoreSubject, storeConformance } from './store.js';
