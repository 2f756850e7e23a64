import { checked, number, oneOf, options, rule } from '../kernel/option-rules.js';
import type { RunReport } from './result.js';
import type { RunStatus } from './status.js';

/** What a run says of itself in its store, with the first records that it writes and when it ends. */
export interface RunRow {
  readonly workflow: string;
  /** `running` until it has ended: also where its process is gone, which `isLeased` tells. */
  readonly status: RunStatus | 'running';
  readonly tags: Readonly<Record<string, string>>;
  /** When it began, in the first process that had it, in ms since 1970. */
  readonly startedAt: number;
  readonly endedAt?: number;
  /** How many tasks ended how; since it has ended. */
  readonly counts?: RunReport['counts'];
  /** Why it ended early. */
  readonly error?: string;
}

/** How a run has ended, for its row. */
export type RunEnd = Pick<RunRow, 'status' | 'counts' | 'error'>;

/** Which runs of a store are listed, the one that began last first. */
export interface RunsQuery {
  readonly status?: RunRow['status'];
  readonly workflow?: string;
  /** A tag, as `name=value`. */
  readonly tag?: string;
  /** Those that come behind this one: the id of the last one of the page before. None, where it is not there. */
  readonly after?: string;
  /** At most so many: a whole number from 1. Default all. */
  readonly limit?: number;
}

/** Every status a row may have. */
export const rowStatuses = [
  'running',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
  'suspended',
] as const satisfies readonly RunRow['status'][];

const isText = (value: unknown): boolean => typeof value === 'string';

const queryRule = options<RunsQuery>('an object with status, workflow, tag, after or limit', {
  status: oneOf(rowStatuses),
  workflow: rule(isText, 'give the name of a workflow'),
  tag: rule(
    (value) => isText(value) && String(value).includes('='),
    'give a name and a value, as "tenant=acme"',
  ),
  after: rule(isText, 'give the id of a run'),
  limit: number(1, 'whole'),
});

/** What is asked of a store, when it makes sense. @throws RxhiveError INVALID_OPTION */
export function checkedQuery(query: RunsQuery): RunsQuery {
  return checked(query, 'query', queryRule);
}

/** What a store knows of a run, and what the run has said of itself: nothing, where an older version has written it. */
export interface ListedRun extends Partial<RunRow> {
  readonly runId: string;
  readonly updatedAt: number;
}

/** Text that every database takes. */
function clean(text: string): string {
  return text.slice(0, 1_000).replaceAll(/[\0\ud800-\udfff]/gu, '\ufffd');
}

/** The row of a run, as it is kept. */
export function textOfRow(row: RunRow): string {
  const tags = Object.entries(row.tags).map(([name, value]) => [clean(name), clean(String(value))] as const);
  return JSON.stringify({ ...row, tags: Object.fromEntries(tags) }, (_, value: unknown) =>
    typeof value === 'string' ? clean(value) : value,
  );
}

/** What was kept; nothing for what is no row: it is not trusted. */
export function rowOfText(text: string | undefined): RunRow | undefined {
  if (text === undefined) return undefined;
  try {
    const row = JSON.parse(text) as RunRow;
    const right =
      typeof row.workflow === 'string' &&
      typeof row.status === 'string' &&
      Number.isFinite(row.startedAt) &&
      typeof row.tags === 'object' &&
      row.tags !== null;
    return right ? row : undefined;
  } catch {
    return undefined;
  }
}

/** The row of a run that is there already: it began when it did, and has the tags it had unless it is given others. */
export function goingOn(before: RunRow | undefined, row: RunRow): RunRow {
  if (before === undefined) return row;
  const tags = Object.keys(row.tags).length === 0 ? before.tags : row.tags;
  return { ...row, tags, startedAt: before.startedAt };
}

/** Those of `runs` that are asked for, in their order. @throws RxhiveError INVALID_OPTION */
export function selectRuns<T extends ListedRun>(runs: readonly T[], query: RunsQuery): T[] {
  const { status, workflow, tag, after, limit = Number.POSITIVE_INFINITY } = checkedQuery(query);
  const sorted = [...runs].sort(
    (a, b) => begun(b) - begun(a) || (a.runId < b.runId ? 1 : a.runId > b.runId ? -1 : 0),
  );
  const from = after === undefined ? 0 : sorted.findIndex(({ runId }) => runId === after) + 1;
  if (after !== undefined && from === 0) return [];
  return sorted
    .slice(from)
    .filter(
      (run) =>
        (status === undefined || run.status === status) &&
        (workflow === undefined || run.workflow === workflow) &&
        (tag === undefined || Object.entries(run.tags ?? {}).some(([name, is]) => `${name}=${is}` === tag)),
    )
    .slice(0, limit);
}

function begun({ startedAt, updatedAt }: ListedRun): number {
  return startedAt ?? updatedAt;
}
