import type { RunView, SpanKind, TaskView } from './run-view.js';

/** A bar of the timeline, ms of the run. */
export interface Bar {
  readonly task: TaskView;
  readonly kind: SpanKind;
  readonly from: number;
  readonly to: number;
  readonly lane: number;
  readonly attempt: number | undefined;
  /** How the attempt ended; undefined while it runs, and for waits. */
  readonly end: string | undefined;
}

/** All bars of a run, by lane and within a lane by time. */
export interface Timeline {
  readonly lanes: readonly (readonly Bar[])[];
  readonly labels: readonly string[];
  readonly bars: number;
  /** Ms at the right edge. */
  readonly end: number;
}

/** A lane per slot in use: what ran in parallel lies one above the other. Waits hang below the bar they led to. */
export function slotTimeline(view: RunView): Timeline {
  const runs: { task: TaskView; at: number; from: number; to: number }[] = [];
  for (const task of view.tasks.values()) {
    task.spans.forEach((span, at) => {
      if (span.kind === 'running') runs.push({ task, at, from: span.from, to: span.to ?? view.now });
    });
  }
  runs.sort((a, b) => a.from - b.from || a.task.seq - b.task.seq);
  const free: number[] = [];
  const lanes: Bar[][] = [];
  let bars = 0;
  for (const { task, at, from, to } of runs) {
    let lane = free.findIndex((until) => until <= from);
    if (lane < 0) lane = free.length;
    free[lane] = to > from ? to : from + 0.001;
    const row = lanes[lane] ?? [];
    lanes[lane] = row;
    for (let i = at; i >= 0 && (i === at || task.spans[i]?.kind !== 'running'); i--) {
      const bar = barOf(task, i, lane, view.now);
      if (bar !== undefined) row.push(bar);
      bars += 1;
    }
  }
  for (const lane of lanes) lane.sort((a, b) => a.from - b.from);
  return { lanes, labels: lanes.map((_, i) => `slot ${i + 1}`), bars, end: Math.max(1, view.now) };
}

/** A lane per task, all it did and waited for, in order of start. */
export function taskTimeline(view: RunView): Timeline {
  const tasks = view.list();
  const begin = (task: TaskView): number =>
    task.spans.find((span) => span.kind === 'running')?.from ?? Number.POSITIVE_INFINITY;
  tasks.sort((a, b) => begin(a) - begin(b) || a.seq - b.seq);
  let bars = 0;
  const lanes = tasks.map((task, lane) => {
    const made = task.spans.flatMap((_, i) => barOf(task, i, lane, view.now) ?? []);
    bars += made.length;
    return made;
  });
  return { lanes, labels: tasks.map(({ id }) => id), bars, end: Math.max(1, view.now) };
}

function barOf(task: TaskView, at: number, lane: number, now: number): Bar | undefined {
  const span = task.spans[at];
  if (span === undefined) return undefined;
  const { kind, from, to = now, attempt, end } = span;
  return { task, kind, from, to, lane, attempt, end };
}

/** Ms of all tasks by what they went to. */
export function timeByKind(view: RunView): Readonly<Record<SpanKind, number>> {
  const sum = { dependencies: 0, slot: 0, permit: 0, backoff: 0, suspended: 0, running: 0 };
  for (const { spans } of view.tasks.values())
    for (const { kind, from, to = view.now } of spans) sum[kind] += to - from;
  return sum;
}
