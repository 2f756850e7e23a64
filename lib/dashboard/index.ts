export { chromeTrace } from '../views/chrome-trace.js';
export { graphSvg } from '../views/graph-svg.js';
export { type InspectedAttempt, inspectTask, type TaskInspection } from '../views/inspection.js';
export { markdownReport } from '../views/markdown.js';
export { type TerminalOptions, type TerminalStream, terminal } from '../views/terminal.js';
export type { ActionTarget } from './actions.js';
export { htmlReport } from './report-file.js';
export {
  type Dashboard,
  type DashboardOptions,
  type DashboardSource,
  type ForkPoint,
  serveDashboard,
} from './server.js';
