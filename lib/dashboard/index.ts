export type { ActionTarget } from './actions.js';
export { chromeTrace } from './chrome-trace.js';
export { graphSvg } from './graph-svg.js';
export { type InspectedAttempt, inspectTask, type TaskInspection } from './inspection.js';
export { markdownReport } from './markdown.js';
export { htmlReport } from './report-file.js';
export {
  type Dashboard,
  type DashboardOptions,
  type DashboardSource,
  type ForkPoint,
  serveDashboard,
} from './server.js';
export { type TerminalOptions, type TerminalStream, terminal } from './terminal.js';
