import { type Observable, Subject, share } from 'rxjs';
import { type DashboardOptions, type DashboardSource, serveDashboard } from '../dashboard/server.js';
import { terminal } from '../dashboard/terminal.js';
import { visible } from '../dashboard/text.js';
import type { WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import { eventLines } from '../observe/event-log.js';
import { Run } from '../run.js';
import { keepLines } from './log-file.js';

/** Options of every command that runs something. */
export const watchOptions = {
  json: { type: 'boolean' },
  log: { type: 'string' },
  dashboard: { type: 'boolean' },
  quiet: { type: 'boolean' },
  port: { type: 'string', default: '0' },
} as const;

/** What was given for {@link watchOptions}. */
export interface Watching {
  readonly json?: boolean | undefined;
  readonly log?: string | undefined;
  readonly dashboard?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly port: string;
  /** Where a run has a store: how the dashboard forks it. */
  readonly fork?: DashboardOptions['fork'];
}

/** Something that tells what it does and can be started: a run, or an orchestrator with what it is started with. */
export type Watched =
  | Run
  | { readonly events$: Observable<WorkflowEvent>; result(): Promise<WorkflowResult> };

/** Runs it, shows it in the ways that were asked for, prints how it ended. 0 when all succeeded, else 1. */
export async function watch(source: Watched, values: Watching): Promise<number> {
  const { status, questions } = await watched(source, values);
  if (questions.length > 0 && values.json !== true)
    console.error('rxhive answer STORE lists what is asked, and answers');
  return status === 'succeeded' ? 0 : 1;
}

/** The same, with its result. */
export async function watched(source: Watched, values: Watching): Promise<WorkflowResult> {
  // Everybody is there before the first event: whoever subscribes to a run starts it.
  const events$ = new Subject<WorkflowEvent>();
  // Made into text once, whoever reads it.
  const lines$ = events$.pipe(eventLines(), share());
  if (values.log !== undefined) keepLines(lines$, values.log);
  if (values.quiet !== true) events$.pipe(terminal()).subscribe();
  if (values.dashboard === true) {
    const port = Number(values.port);
    const { url } = await serveDashboard(source instanceof Run ? acted(source, lines$) : { lines$ }, {
      port,
      ...(values.fork !== undefined && { fork: values.fork }),
    });
    console.error(`dashboard: ${url}`); // stdout belongs to the report
  }
  source.events$.subscribe(events$);
  const result = await source.result();
  if (values.json === true) {
    const { status, report } = result;
    const asked = result.questions.length === 0 ? {} : { questions: result.questions };
    console.log(
      JSON.stringify({ status, tasks: [...result.tasks.values()], wallMs: report.wallMs, ...asked }),
    );
  } else {
    console.log(visible(String(result.report)));
  }
  return result;
}

/** A run to act on, whose events come from elsewhere. */
function acted(run: Run, lines$: Observable<string>): DashboardSource {
  return {
    lines$,
    cancel: (why) => run.cancel(why),
    cancelTask: (id, why) => run.cancelTask(id, why),
    setConcurrency: (limit) => run.setConcurrency(limit),
    setGroupConcurrency: (name, limit) => run.setGroupConcurrency(name, limit),
    pause: () => run.pause(),
    step: () => run.step(),
    continue: () => run.continue(),
    limits: () => run.limits(),
    answer: (questionId, value) => run.answer(questionId, value),
  };
}
