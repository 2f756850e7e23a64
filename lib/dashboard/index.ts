export type { ActionTarget } from './actions.js';
export { htmlReport } from './report-file.js';
export { type Dashboard, type DashboardOptions, type DashboardSource, serveDashboard } from './server.js';
export { type TerminalOptions, type TerminalStream, terminal } from './terminal.js';
