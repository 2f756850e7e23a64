import type { Observable } from 'rxjs';
import { SimulationScheduler } from '../../kernel/simulation-scheduler.js';
import type { WorkflowEvent } from '../../model/event.js';
import { failureOf, Rebuilt, settingsOf } from '../../replay/rebuild.js';
import type { RecordedAttempt, RecordedTask, Recording } from '../../replay/recording.js';
import { dependenciesIn, recordingOf } from '../../replay/recording.js';
import { literal } from './literal.js';
import { drawTimeline, type TimelineRow, timelineOf } from './timeline.js';

/** How a recording becomes a test. */
export interface ToMarblesOptions {
  /** Where to import from. Default `rxhive` and `rxhive/testing`. */
  readonly from?: { readonly main: string; readonly testing: string };
  /** Most columns of the picture; the unit is chosen by it. Default 100. */
  readonly columns?: number;
}

/** All events of a run, from its start to its end: `toMarbles(await record(run))`. Starts the run. */
export function record(run: { readonly events$: Observable<WorkflowEvent> }): Promise<WorkflowEvent[]> {
  const events: WorkflowEvent[] = [];
  return new Promise((resolve, reject) => {
    run.events$.subscribe({
      next: (event) => events.push(event),
      error: reject,
      complete: () => resolve(events),
    });
  });
}

/**
 * A recorded run as the text of a marble test: the graph, a marble for each attempt, and the timeline they give in
 * virtual time. That is the recorded one without waits for permits and the time that the process itself lost between tasks;
 * a comment says how much. Inputs and results are not in it, only when what happened and how it ended; ids and codes of errors are.
 * Tasks that gave their slot back, were cancelled, or came from outside cannot be told in marbles and are named in a
 * comment; `replay` plays them too.
 * @throws RxhiveError INVALID_INPUT
 */
export function toMarbles(log: string | readonly WorkflowEvent[], options: ToMarblesOptions = {}): string {
  return new Writer(recordingOf(log), options).text();
}

class Writer {
  readonly #recording: Recording;
  readonly #options: ToMarblesOptions;
  readonly #names = new Map<string, string>();
  readonly #imports = new Set(['workflow']);
  readonly #first: ReadonlySet<string>;
  readonly #rows: readonly TimelineRow[];
  readonly #attempts: ReadonlyMap<string, readonly RecordedAttempt[]>;

  constructor(recording: Recording, options: ToMarblesOptions) {
    this.#recording = recording;
    this.#options = options;
    recording.tasks.forEach(({ plan }, i) => {
      this.#names.set(plan.id, `t${i}`);
    });
    this.#first = new Set(recording.plan.tasks.map(({ id }) => id));
    this.#attempts = new Map(recording.tasks.map(({ plan, attempts }) => [plan.id, attempts]));
    this.#rows = played(recording, this.#first);
  }

  text(): string {
    const { workflow, runId } = this.#recording;
    const { main, testing } = this.#options.from ?? { main: 'rxhive', testing: 'rxhive/testing' };
    const unit = this.#unit();
    const body = [
      `const recorded = workflow(${literal(settingsOf(this.#recording))});`,
      ...this.#inOrder().flatMap((task) => this.#defined(task)),
      'flow(recorded);',
      ...this.#rows.flatMap((row) => this.#end(row)),
      'expectTimeline().toBe(`',
      ...drawTimeline(this.#rows, unit)
        .replaceAll('\\', '\\\\')
        .replaceAll('`', '\\`')
        .replaceAll('${', '\\${')
        .split('\n')
        .map((line) => `  ${line}`),
      '`);',
    ];
    return [
      `import { test } from 'uvu';`,
      `import { ${[...this.#imports].sort().join(', ')} } from ${literal(main)};`,
      `import { marbles } from ${literal(testing)};`,
      '',
      ...this.#warnings(),
      `test(${literal(`recorded: ${workflow} ${runId}`)}, marbles({ unit: ${unit} }, ({ agent, flow, expectTask, expectTimeline }) => {`,
      ...body.map((line) => `  ${line}`),
      '}));',
      '',
      'test.run();',
      '',
    ].join('\n');
  }

  /** Ms a column stands for: 1, 2 or 5 times a power of ten. */
  #unit(): number {
    const least = endOf(this.#rows) / (this.#options.columns ?? 100);
    if (least <= 1) return 1;
    const power = 10 ** Math.floor(Math.log10(least));
    return power * ([1, 2, 5].find((one) => one * power >= least) ?? 10);
  }

  /** Static tasks after those they depend on: handles have to be there. */
  #inOrder(): RecordedTask[] {
    const left = new Map(
      this.#recording.tasks
        .filter(({ plan }) => this.#first.has(plan.id))
        .map((task) => [task.plan.id, task]),
    );
    const order: RecordedTask[] = [];
    for (let before = -1; before !== order.length && left.size > 0; ) {
      before = order.length;
      for (const [id, task] of left) {
        if (task.plan.dependencies.some((one) => left.has(one.id))) continue;
        left.delete(id);
        order.push(task);
        break;
      }
    }
    return order;
  }

  #defined(task: RecordedTask): string[] {
    const { id } = task.plan;
    const children = this.#recording.tasks.filter(({ parent }) => parent === id);
    const lines = [`const ${this.#names.get(id)} = recorded.task(${literal(id)}, ${this.#task(task)});`];
    return children.length === 0 ? lines : [...lines, ...this.#handler(id, children)];
  }

  /** Tasks that a task had added; those they had added themselves come from handlers within. */
  #handler(id: string, children: readonly RecordedTask[]): string[] {
    return [
      `recorded.onTaskComplete(${this.#names.get(id)}, (_, add) => {`,
      ...children.flatMap((child) => {
        const name = this.#names.get(child.plan.id);
        const own = this.#recording.tasks.filter(({ parent }) => parent === child.plan.id);
        return [
          `  const ${name} = add(${literal(child.plan.id)}, ${this.#task(child)});`,
          ...(own.length === 0
            ? [`  void ${name};`]
            : this.#handler(child.plan.id, own).map((line) => `  ${line}`)),
        ];
      }),
      '});',
    ];
  }

  #task({ plan, attempts }: RecordedTask): string {
    const { type, group, priority, resources, estimate, timeout } = plan;
    const entries = Object.entries({ type, group, priority, resources, estimate, timeout }).filter(
      ([, value]) => value !== undefined,
    );
    const dependencies = this.#dependencies(plan.dependencies);
    const delays = attempts.flatMap(({ delay }) => (delay === undefined ? [] : [delay]));
    const codes = attempts.map((attempt) => errorText(attempt));
    const errors = codes.some((code) => code !== undefined)
      ? `, {}, [${codes.map((code) => code ?? "''").join(', ')}]`
      : '';
    const marbles = attempts.map((attempt) => literal(marbleOf(attempt)));
    const text = marbles.length === 1 ? marbles[0] : `[${marbles.join(', ')}]`;
    return `{ ${[
      ...entries.map(([key, value]) => `${key}: ${literal(value)}`),
      ...(dependencies.length === 0 ? [] : [`dependencies: [${dependencies.join(', ')}]`]),
      ...(delays.length === 0
        ? []
        : [
            `retry: { count: ${delays.length}, backoff: (n) => ${literal(delays)}[n - 1] ?? 0, retryIf: () => true }`,
          ]),
      `run: ${attempts.length === 0 ? "() => 'never ran'" : `agent(${text}${errors})`}`,
    ].join(', ')} }`;
  }

  #dependencies(list: RecordedTask['plan']['dependencies']): string[] {
    return dependenciesIn(list).map(({ mode, need, ids }) => {
      const names = ids.map((id) => this.#names.get(id)).join(', ');
      if (mode === 'value') return names;
      this.#imports.add(mode);
      if (mode === 'race') return `race([${names}])`;
      if (mode === 'quorum') return `quorum(${need}, [${names}])`;
      return mode === 'orElse' ? `orElse(${names}, undefined)` : `${mode}(${names})`;
    });
  }

  /** When each task ended, to the ms: the picture rounds. */
  #end({ taskId, changes }: TimelineRow): string[] {
    const end = changes.at(-1);
    const last = this.#attempts.get(taskId)?.at(-1);
    if (end?.status !== 'succeeded' || last === undefined || last.values.length > 0) return [];
    return [`expectTask(${literal(taskId)}).toBe('${end.at}ms (v|)');`];
  }

  #warnings(): string[] {
    const odd = this.#recording.tasks.filter(
      (task) =>
        task.cancelledAt !== undefined ||
        task.attempts.some(({ joins }) => joins.length > 0) ||
        (task.parent === undefined && !this.#first.has(task.plan.id)),
    );
    const { wallMs } = this.#recording;
    const now = endOf(this.#rows);
    const lost =
      now < wallMs
        ? [
            `// Recorded: ${wallMs} ms. Without waits for permits and what the process lost between tasks: ${now} ms.`,
          ]
        : [];
    if (odd.length === 0 && this.#recording.cancelledAt === undefined) return lost;
    const names = odd.slice(0, 10).map(({ plan }) => literal(plan.id));
    return [
      ...lost,
      `// Not shown in marbles, only by replay(): ${names.join(', ') || 'the cancel of the run'}`,
    ];
  }
}

/** What of a recording marbles can tell, played in virtual time. */
function played(recording: Recording, first: ReadonlySet<string>): TimelineRow[] {
  const { cancelledAt: _, ...rest } = recording;
  const told = new Set(first);
  const tasks: RecordedTask[] = [];
  for (const task of recording.tasks) {
    const { id } = task.plan;
    if (task.parent !== undefined && told.has(task.parent)) told.add(id);
    if (!told.has(id)) continue;
    const attempts = task.attempts.map((attempt) => ({ ...attempt, joins: [], values: [] }));
    tasks.push({
      plan: task.plan,
      ...(task.parent !== undefined && { parent: task.parent }),
      addedAt: 0,
      attempts,
      changes: [],
    });
  }
  const scheduler = new SimulationScheduler();
  const { flow } = new Rebuilt({ ...rest, tasks, limits: [] }, {}, scheduler);
  const events: WorkflowEvent[] = [];
  const playing = flow.run({ scheduler, seed: 1 }).events$.subscribe((event) => events.push(event));
  scheduler.flush();
  playing.unsubscribe();
  return timelineOf(first, events);
}

/** When the last task ended, ms. */
function endOf(rows: readonly TimelineRow[]): number {
  return Math.max(0, ...rows.map(({ changes }) => changes.at(-1)?.at ?? 0));
}

/** A character takes a whole unit of time, so values of a stream are not told, only its end. */
function marbleOf({ runningMs, end }: RecordedAttempt): string {
  if (end === 'open') return '-';
  const mark = end === 'failed' ? '#' : '(v|)';
  return runningMs === 0 ? mark : `${runningMs}ms ${mark}`;
}

function errorText(attempt: RecordedAttempt): string | undefined {
  if (attempt.end !== 'failed') return undefined;
  const { code = 'error', status, asked } = attempt;
  if (status === undefined && asked === undefined) return literal(code);
  return `Object.assign(new Error(${literal(code)}), ${literal({ ...failureOf(attempt) })})`;
}
