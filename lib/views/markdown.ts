import type { WorkflowEvent } from '../model/event.js';
import type { EventLogOptions } from '../observe/event-log.js';
import { failuresOf } from './failures.js';
import { criticalPath } from './graph-view.js';
import { recorded } from './recorded.js';
import type { RunView, SpanKind, TaskView } from './run-view.js';
import { ranFor, spentBy } from './spent.js';
import { count, duration, messageOf, short, spanNames, statusOf } from './text.js';
import { timeByKind } from './timeline.js';

const mostRows = 20;

/**
 * A run as a page of Markdown, for an issue or a pull request: what went wrong, root causes first, then where time,
 * tokens and money went. What tasks said stands there as text. Secrets are hidden as in a log.
 */
export function markdownReport(events: Iterable<WorkflowEvent>, options: EventLogOptions = {}): string {
  return markdownOf(recorded(events, options));
}

/** The same of a run that has been read. */
export function markdownOf(view: RunView): string {
  const parts = [
    `# ${md(view.workflow || 'run', 80)}: ${view.status}`,
    `${md(view.runId, 80)}, ${duration(view.now)}. ${counts(view)}.`,
    ...(view.error === undefined ? [] : [`${md(messageOf(view.error), 500)}`]),
    ...failures(view),
    ...questions(view),
    ...time(view),
    ...groups(view),
    ...spending(view),
  ];
  return `${parts.join('\n\n')}\n`;
}

function counts(view: RunView): string {
  const each = Object.entries(view.counts()).map(([status, n]) => `${count(n)} ${status}`);
  return `${count(view.tasks.size)} tasks${each.length === 0 ? '' : `: ${each.join(', ')}`}`;
}

function failures(view: RunView): string[] {
  const all = failuresOf(view);
  if (all.length === 0) return [];
  const lines = all.slice(0, mostRows).map(({ task, stopped }) => {
    const tries = task.attempts > 1 ? ` after ${task.attempts} attempts` : '';
    const why = task.error === undefined ? '' : `: ${md(messageOf(task.error), 500)}`;
    const names = stopped.slice(0, 5).map(({ id }) => md(id, 40));
    const more = stopped.length > 5 ? ` and ${count(stopped.length - 5)} more` : '';
    const behind =
      stopped.length === 0 ? '' : `\n  - It stopped ${count(stopped.length)}: ${names.join(', ')}${more}.`;
    return `- **${md(task.id, 80)}** ${statusOf(task)}${tries}${why}${behind}`;
  });
  return ['## What went wrong', [...lines, ...rest(all.length)].join('\n')];
}

function questions(view: RunView): string[] {
  const open = [...view.questions];
  if (open.length === 0) return [];
  const lines = open.slice(0, mostRows).map(([id, { prompt }]) => `- ${md(id, 80)}: ${md(prompt, 300)}`);
  return ['## What waits for people', [...lines, ...rest(open.length)].join('\n')];
}

function time(view: RunView): string[] {
  const sums = timeByKind(view);
  const all = Object.values(sums).reduce((sum, ms) => sum + ms, 0);
  const kinds = (Object.keys(sums) as SpanKind[]).filter((kind) => sums[kind] > 0);
  if (kinds.length === 0) return [];
  const share = (ms: number): string => `${((100 * ms) / all).toFixed(1)} %`;
  const rows = kinds
    .sort((a, b) => sums[b] - sums[a])
    .map((kind) => [spanNames[kind], duration(sums[kind]), share(sums[kind])]);
  const path = [...criticalPath(view)].reverse();
  const steps = path.slice(-mostRows).map((id) => {
    const task = view.tasks.get(id) as TaskView;
    return `${md(id, 40)} (${duration(ranFor(task, view.now))})`;
  });
  const dots = path.length > mostRows ? '… → ' : '';
  return [
    '## Where the time of all tasks went',
    table(['', 'time', 'share'], rows),
    ...(steps.length === 0 ? [] : [`Critical path: ${dots}${steps.join(' → ')}.`]),
  ];
}

function groups(view: RunView): string[] {
  const rows = [...view.groups.values()].map(({ name, limit, most, refused, facts }) => [
    name === undefined ? 'all tasks' : md(name, 40),
    limit === undefined ? 'none' : count(limit),
    count(most),
    count(refused),
    [...facts].map(([fact, value]) => md(`${fact}: ${String(value)}`, 80)).join('; '),
  ]);
  return ['## Groups', table(['group', 'limit', 'most in use', '429s', 'guards'], rows.slice(0, mostRows))];
}

function spending(view: RunView): string[] {
  return (['agent', 'model'] as const).flatMap((by) => {
    const rows = spentBy(view, by).filter(
      ([, { inputTokens, outputTokens, cost }]) => inputTokens + outputTokens + cost > 0,
    );
    if (rows.length === 0) return [];
    const cells = rows
      .slice(0, mostRows)
      .map(([name, one]) => [
        md(name, 40),
        count(one.tasks),
        count(one.attempts),
        duration(one.ms),
        count(one.inputTokens),
        count(one.outputTokens),
        one.cost === 0 ? '–' : one.cost.toFixed(4),
      ]);
    const head = [by, 'tasks', 'attempts', 'ran', 'tokens in', 'tokens out', 'cost'];
    return [`## Tokens and money by ${by}`, [table(head, cells), ...rest(rows.length)].join('\n')];
  });
}

function rest(all: number): string[] {
  return all > mostRows ? ['', `… and ${count(all - mostRows)} more.`] : [];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text that means itself: no markup, no HTML, no end of a cell. */
function md(text: string, most: number): string {
  return short(text, most)
    .replaceAll(/[\\`*[\]<>|~#&!]/g, '\\$&')
    .replaceAll(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\_');
}
