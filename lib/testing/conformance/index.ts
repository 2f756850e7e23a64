export { type AgentSubject, agentConformance, testModel, testTool } from './agent.js';
export type { ConformanceCheck } from './check.js';
export { type ExecutorFactory, type ExecutorSubject, executorConformance } from './executor.js';
export { type StoreSubject, storeConformance } from './store.js';
