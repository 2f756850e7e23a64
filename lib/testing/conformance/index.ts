export { type AgentSubject, agentConformance, testModel, testTool } from './agent.js';
export type { ConformanceCheck } from './check.js';
export { type StoreSubject, storeConformance } from './store.js';
