import { valueAt } from '../views/changes.js';
import { inspectionOf, type TaskInspection } from '../views/inspection.js';
import type { RunView, Span, SpanKind } from '../views/run-view.js';
import { ranFor } from '../views/spent.js';
import { statusStyles } from '../views/status-style.js';
import { count, duration, messageOf, short, shownValue, spanNames } from '../views/text.js';
import { command } from './command.js';
import { flag, text } from './option.js';
import { fromLog, viewOf } from './read-log.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive inspect LOG`: the tasks of a recorded run, or all about one of them. */
export const inspect = command({
  name: 'inspect',
  help: 'shows the tasks of a recorded run, or all about one of them',
  words: [
    { name: 'LOG', missing: 'give the log to read, for example: rxhive inspect run.jsonl --task fetch' },
  ],
  options: { task: text('ID', 'all about this task'), json: flag('print it as one JSON document') },
  does: ({ words: [file], values: { task }, out }) =>
    fromLog(file, ({ events }) => {
      const view = viewOf(events);
      if (task === undefined) {
        out.answer(
          () => summary(view),
          () => table(view),
        );
        return 0;
      }
      const found = inspectionOf(view, task);
      if (found === undefined)
        throw new WrongCall(`there is no task ${short(task, 60)} in ${file}${near(view, task)}`);
      out.answer(
        () => found,
        () => told(found, view.now),
      );
      return 0;
    }),
});

/** Ids that could have been meant. */
function near(view: RunView, wanted: string): string {
  const like = view.list().filter(({ id }) => id.includes(wanted) || wanted.includes(id));
  return like.length === 0
    ? ''
    : `; there is ${like
        .slice(0, 5)
        .map(({ id }) => short(id, 40))
        .join(', ')}`;
}

function summary(view: RunView): object {
  const { runId, workflow, status, now } = view;
  const tasks = view.list().map((task) => {
    const { id, status, attempts, usage } = task;
    return { id, status, attempts, ranMs: ranFor(task, now), waits: waitsOf(task.spans, now), usage };
  });
  return { runId, workflow, status, ms: now, counts: view.counts(), tasks };
}

function waitsOf(spans: readonly Span[], now: number): Partial<Record<SpanKind, number>> {
  const sums: Partial<Record<SpanKind, number>> = {};
  for (const { kind, from, to = now } of spans)
    if (kind !== 'running') sums[kind] = (sums[kind] ?? 0) + to - from;
  return sums;
}

function table(view: RunView): string {
  const head = `${short(view.workflow, 60)} ${short(view.runId, 60)}: ${view.status}, ${duration(view.now)}`;
  const rows = view.list().map((task) => {
    const waits = Object.entries(waitsOf(task.spans, view.now)).map(
      ([kind, ms]) => `${kind} ${duration(ms)}`,
    );
    const left = `${statusStyles[task.status].sign} ${short(task.id, 40).padEnd(40)} ${task.status.padEnd(11)}`;
    return `${left} ${String(task.attempts).padStart(2)} tries, ran ${duration(ranFor(task, view.now))}${waits.length === 0 ? '' : `, waited: ${waits.join(', ')}`}`;
  });
  return [head, ...rows].join('\n');
}

function told(task: TaskInspection, now: number): string {
  const { inputTokens, outputTokens, cost } = task.usage;
  const model = task.model === undefined ? '' : `, ${short(task.model, 60)}`;
  const used = inputTokens + outputTokens + cost;
  const parts = [
    [`${statusStyles[task.status].sign} ${short(task.id, 200)}: ${task.status}`],
    [...fact('type', task.type), ...fact('group', task.group), ...fact('added by', task.parent)],
    section(
      'Inputs',
      task.inputs.map(({ id, mode, status, value }) =>
        lines(`${short(id, 80)} (${mode}${status === undefined ? '' : `, ${status}`})`, value),
      ),
    ),
    section(
      'Attempts',
      task.attempts.map(
        ({ attempt, startedAt, endedAt = now, end = 'running', error, retryAfter, hedge }) => {
          const asked = retryAfter === undefined ? '' : `, asked to wait ${duration(retryAfter)}`;
          const why = error === undefined ? '' : `: ${short(messageOf(error), 2_000)}`;
          return `${attempt}${hedge ? ' (hedge)' : ''} ${end}, ${duration(endedAt - startedAt)} from ${duration(startedAt)}${asked}${why}`;
        },
      ),
    ),
    section(
      'Time',
      task.spans.map(
        ({ kind, from, to = now }) => `${spanNames[kind]}: ${duration(to - from)} from ${duration(from)}`,
      ),
    ),
    section(
      'Usage',
      used === 0
        ? []
        : [`${count(inputTokens)} tokens in, ${count(outputTokens)} out, cost ${cost.toFixed(4)}${model}`],
    ),
    section(
      'Messages',
      task.messages.map(({ at, message, data }) => lines(`${duration(at)} ${short(message, 2_000)}`, data)),
    ),
    section(
      `Stream, ${count(task.streamed)} values`,
      task.streamed === 0 ? [] : [short(task.stream.map((one) => shownValue(one, 200)).join(' '), 2_000)],
    ),
    ...task.commits.map(({ commit, at, changes, before, after }) =>
      section(
        `State, commit ${commit} at ${duration(at)}`,
        changes.map(
          ({ path }) =>
            `${short(path.join('.') || '(all)', 200)}: ${short(shownValue(valueAt(before, path), 500), 500)} -> ${short(shownValue(valueAt(after, path), 500), 500)}`,
        ),
      ),
    ),
    section('Result', task.value === undefined ? [] : [shownValue(task.value, 5_000)]),
    section('Error', task.error === undefined ? [] : [short(messageOf(task.error), 2_000)]),
  ];
  return parts.flat().join('\n');
}

function fact(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${name}: ${short(value, 100)}`];
}

function section(title: string, rows: readonly string[]): string[] {
  return rows.length === 0 ? [] : ['', title, ...rows.map((row) => `  ${row.replaceAll('\n', '\n  ')}`)];
}

function lines(first: string, value: unknown): string {
  return value === undefined ? first : `${first}\n  ${shownValue(value, 2_000).replaceAll('\n', '\n  ')}`;
}
