import { readEntry } from '../commit/records.js';
import { Spill } from '../commit/spill.js';
import { History } from '../history.js';
import type { WorkflowEvent } from '../model/event.js';
import type { OpenQuestion } from '../model/question.js';
import type { CheckpointStore, LogEntry } from '../model/store.js';
import { RunView } from '../views/run-view.js';
import { duration, short, shownValue } from '../views/text.js';

/** An open question, and the run that asks. */
export interface RunQuestion extends OpenQuestion {
  readonly run: string;
}

/** What a run in a store has asked: the schemas of all questions by id, where they are known, and those that are open. */
export interface AskedInRun {
  readonly runId: string;
  readonly all: ReadonlyMap<string, RunQuestion['schema']>;
  readonly open: readonly RunQuestion[];
}

/** What a run has asked, by its log alone; undefined where there is no such run. @throws CheckpointCorruptError */
export async function askedIn(store: CheckpointStore, runId: string): Promise<AskedInRun | undefined> {
  const entries = await store.read(runId);
  const [first] = entries;
  if (first === undefined) return undefined;
  const history = historyOf(store, runId, entries, first);
  const all = history.records.flatMap((record) => (record.kind === 'question' ? [record] : []));
  const schemas = all.map(({ id, schema }) => [id, schema] as const);
  return { runId, all: new Map(schemas), open: history.questions().map((one) => ({ run: runId, ...one })) };
}

function historyOf(
  store: CheckpointStore,
  runId: string,
  entries: readonly LogEntry[],
  first: LogEntry,
): History {
  const begun = readEntry(runId, first, 1);
  const name = begun.kind === 'run' ? begun.workflow : '';
  return new History(entries, runId, name, undefined, new Spill(store, Number.POSITIVE_INFINITY));
}

/** What waits for answers at the end of a log of events. */
export function askedInEvents(events: readonly WorkflowEvent[]): readonly RunQuestion[] {
  const view = new RunView();
  const asked = new Map<string, RunQuestion>();
  let epoch = 0;
  for (const event of events) {
    view.apply(event);
    if (event.type === 'run' && event.startedAt !== undefined) epoch = event.startedAt;
    if (event.type !== 'question' || event.reason !== 'asked') continue;
    const { questionId: id, taskId, runId: run, prompt = '', context, schema, deadline, at } = event;
    const more = { context, schema, deadline };
    const known = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined));
    asked.set(id, { run, id, taskId, prompt, askedAt: epoch + at, ...known });
  }
  return [...view.questions.keys()].flatMap((id) => asked.get(id) ?? []);
}

/** A question as people read it in a terminal; nothing in it can change what the terminal does. */
export function toldQuestion(
  { run, id, taskId, prompt, context, schema, askedAt, deadline }: RunQuestion,
  now: number,
): string {
  const left = deadline === undefined ? undefined : deadline - now;
  const until =
    left === undefined
      ? ''
      : left > 0
        ? `, ${duration(left)} left`
        : `, its deadline passed ${duration(-left)} ago`;
  return [
    `${short(id, 300)}`,
    `  task ${short(taskId, 200)} of run ${short(run, 200)}, asked ${duration(now - askedAt)} ago${until}`,
    ...(prompt === '' ? [] : [indented(shownValue(prompt, 5_000))]),
    ...(context === undefined ? [] : [indented(`context: ${shownValue(context, 5_000)}`)]),
    ...(schema === undefined ? [] : [indented(`answer: ${short(JSON.stringify(schema), 1_000)}`)]),
  ].join('\n');
}

function indented(text: string): string {
  return `  ${text.replaceAll('\n', '\n  ')}`;
}
