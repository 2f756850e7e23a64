import type { WorkflowEvent } from '../model/event.js';
import type { EventLogOptions } from '../observe/event-log.js';
import { recorded } from './recorded.js';
import type { RunView, TaskView } from './run-view.js';
import { messageOf, short, spanNames } from './text.js';
import { type Bar, slotTimeline } from './timeline.js';

const slots = 1;
const waits = 2;

/**
 * A run as Chrome trace JSON, which ui.perfetto.dev and chrome://tracing open: a row per slot with the attempts, an arrow
 * along each dependency, waits by cause as slices of their own, and a counter per group. Secrets are hidden as in a log.
 * Format: "Trace Event Format", the Chromium project.
 */
export function chromeTrace(events: Iterable<WorkflowEvent>, options: EventLogOptions = {}): string {
  return traceOf(recorded(events, options));
}

/** The same of a run that has been read. */
export function traceOf(view: RunView): string {
  const entries: Told[] = [];
  const say: Say = (entry) => entries.push(entry);
  const { lanes } = slotTimeline(view);
  named(say, slots, 'slots', 'run');
  named(say, waits, 'waits', 'waits');
  lanes.forEach((_, lane) => {
    say({ ph: 'M', name: 'thread_name', pid: slots, tid: lane + 1, args: { name: `slot ${lane + 1}` } });
  });
  const first = new Map<TaskView, Bar>();
  const last = new Map<TaskView, Bar>();
  for (const bar of lanes.flat()) {
    if (bar.kind !== 'running') continue;
    say(slice(bar));
    const { task } = bar;
    if (bar.from < (first.get(task)?.from ?? Number.POSITIVE_INFINITY)) first.set(task, bar);
    if (bar.from >= (last.get(task)?.from ?? 0)) last.set(task, bar);
  }
  for (const task of view.tasks.values()) for (const entry of waitsOf(task, view.now)) say(entry);
  arrows(view, first, last, say);
  counters(view, say);
  for (const event of view.events) {
    const entry = moment(event);
    if (entry !== undefined) say(entry);
  }
  // Names first, then what happened in order of time; what is told of one moment stays in the order above.
  entries.sort((a, b) => (a.ts ?? -1) - (b.ts ?? -1));
  const lines = entries.map((entry) => JSON.stringify(entry));
  const about = JSON.stringify({ workflow: view.workflow, runId: view.runId, status: view.status });
  return `{"displayTimeUnit":"ms","otherData":${about},"traceEvents":[\n${lines.join(',\n')}\n]}\n`;
}

/** Us; what has no time is a name. */
type Entry = { readonly ts?: number };
type Told = Entry & { readonly [field: string]: unknown };
type Say = (entry: Told) => unknown;

/** A process, and its row of things that belong to no other row. */
function named(say: Say, pid: number, name: string, row: string): void {
  say({ ph: 'M', name: 'process_name', pid, tid: 0, args: { name } });
  say({ ph: 'M', name: 'thread_name', pid, tid: 0, args: { name: row } });
  say({ ph: 'M', name: 'process_sort_index', pid, tid: 0, args: { sort_index: pid } });
}

/** Microseconds. */
function us(ms: number): number {
  return Math.round(ms * 1_000);
}

/** At least a microsecond long: viewers attach arrows to slices, and to nothing without length. */
function lengthOf({ from, to }: Bar): number {
  return Math.max(1, us(to) - us(from));
}

function slice(bar: Bar): Told {
  const { task, lane, from, attempt, end } = bar;
  const { type, group, model, usage } = task;
  const failed = task.errors.find((one) => one.attempt === attempt);
  const args = {
    task: task.id,
    type,
    ...(group !== undefined && { group }),
    attempt,
    end: end ?? 'running',
    ...(failed !== undefined && { error: short(messageOf(failed.error), 500) }),
    ...(usage.inputTokens + usage.outputTokens > 0 && { ...usage, model }),
  };
  const name = short(task.id, 100);
  return {
    ph: 'X',
    name,
    cat: end ?? 'running',
    pid: slots,
    tid: lane + 1,
    ts: us(from),
    dur: lengthOf(bar),
    args,
  };
}

/** Waits overlap at will: slices that are not bound to a row. Viewers show those of one name together. */
function waitsOf(task: TaskView, now: number): Told[] {
  return task.spans.flatMap((span, i) => {
    const { kind, from, to = now } = span;
    if (kind === 'running' || to <= from) return [];
    const both = { cat: 'wait', name: spanNames[kind], id: `${task.seq}.${i}`, pid: waits, tid: 0 };
    return [
      { ph: 'b', ...both, ts: us(from), args: { task: task.id } },
      { ph: 'e', ...both, ts: us(to) },
    ];
  });
}

/** From the end of what was needed to the first start of what needed it. */
function arrows(
  view: RunView,
  first: ReadonlyMap<TaskView, Bar>,
  last: ReadonlyMap<TaskView, Bar>,
  say: Say,
): void {
  let id = 0;
  for (const [task, to] of first)
    for (const { id: needed, mode } of task.dependencies) {
      const from = last.get(view.tasks.get(needed) as TaskView);
      if (from === undefined || from.from > to.from) continue;
      id += 1;
      const both = { cat: 'dependency', name: mode, id, pid: slots };
      // Within the slice, and not after its head: a dependent of a stream begins before that has ended.
      const tail = Math.min(us(from.from) + lengthOf(from) - 1, us(to.from));
      say({ ph: 's', ...both, tid: from.lane + 1, ts: tail });
      say({ ph: 'f', bp: 'e', ...both, tid: to.lane + 1, ts: us(to.from) });
    }
}

function counters(view: RunView, say: Say): void {
  for (const { name, history } of view.groups.values())
    for (const { at, active, limit } of history) {
      const args = { 'in use': active, ...(limit !== undefined && { limit }) };
      say({
        ph: 'C',
        name: name === undefined ? 'all tasks' : `group ${short(name, 40)}`,
        pid: slots,
        ts: us(at),
        args,
      });
    }
}

/** What concerns the whole run or a group, as a mark over all rows. */
function moment(event: WorkflowEvent): Told | undefined {
  const { type, reason, at } = event;
  const told =
    type === 'breaker' ||
    type === 'budget' ||
    (type === 'group' && reason === 'gated') ||
    (type === 'run' && reason !== 'started');
  if (!told) return undefined;
  const group = 'group' in event && event.group !== undefined ? ` ${short(event.group, 40)}` : '';
  return { ph: 'i', s: 'g', name: `${type}${group} ${reason}`, cat: type, pid: slots, tid: 0, ts: us(at) };
}
