import type { AgentFunction } from '../../lib/entry/agents.js';
import type { DataSet } from './data-sets.js';
import { fetchText, latencyMs } from './file-server.js';
import { type ColumnProfile, parse, profile, type Row } from './profile.js';
import { findTrend, format, type Trend } from './trends.js';

/** What `data_processing` returns. */
export interface Processed {
  readonly set: DataSet;
  readonly rows: readonly Row[];
  readonly columns: readonly ColumnProfile[];
}

/** What `analysis` returns. */
export interface Analysed extends Omit<Processed, 'rows'> {
  readonly rowCount: number;
  readonly trend: Trend;
}

/** Fetches, parses and profiles one data set. */
export const processData: AgentFunction = async (task, ctx): Promise<Processed> => {
  const { url, set } = task.data as { url: string; set: DataSet };
  const rows = parse(set.file, await fetchText(`${url}/${set.file}`, ctx.signal));
  return { set, rows, columns: profile(rows) };
};

/** Finds the trend in one processed data set. */
export const analyze: AgentFunction = (task): Analysed => {
  const { set, rows, columns } = Object.values(task.inputs)[0] as Processed;
  return { set, columns, rowCount: rows.length, trend: findTrend(set, rows) };
};

/** Writes the executive summary over all analyses. */
export const writeReport: AgentFunction = (task): string => {
  const found = Object.values(task.inputs) as Analysed[];
  const strongest = found.toSorted((a, b) => Math.abs(b.trend.correlation) - Math.abs(a.trend.correlation));
  const rows = found.reduce((sum, one) => sum + one.rowCount, 0);
  const sections = found.map(({ set, rowCount, columns, trend }) => {
    const missing = columns.reduce((sum, column) => sum + column.missing, 0);
    const y = columns.find((column) => column.column === set.y)?.numbers;
    const range = y ? `${set.y} from ${format(y.min)} to ${format(y.max)}, median ${format(y.median)}.` : '';
    return `## ${set.name}\n\n${trend.sentence}\n\n${rowCount} rows, ${columns.length} columns, ${missing} values missing. ${range}\n`;
  });
  return [
    '# Executive summary\n',
    `${found.length} data sets with ${rows.toLocaleString('en-US')} rows, fetched over HTTP from a local server with ${latencyMs} ms latency.\n`,
    'Strongest links:\n',
    ...strongest.slice(0, 3).map(({ set, trend }) => `- **${set.name}**: ${trend.sentence}`),
    '',
    ...sections,
  ].join('\n');
};
