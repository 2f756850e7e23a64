import { type Observable, Subject, share } from 'rxjs';
import { type DashboardOptions, serveDashboard } from '../dashboard/server.js';
import type { WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import { eventLines } from '../observe/event-log.js';
import type { Run } from '../run.js';
import { terminal } from '../views/terminal.js';
import { escapeControl } from '../views/text.js';
import { exitCodes } from './exit-code.js';
import { aborted } from './interrupt.js';
import { keepLines } from './log-file.js';
import { flag, text, type Values, wholeNumber } from './option.js';
import { asDocument, goingOn, type Kept } from './outcome.js';
import type { Output } from './output.js';

/** Options of every command that runs something. */
export const watchOptions = {
  json: flag('print one JSON document instead of the report'),
  log: text('FILE', 'keep every event as a line of JSON'),
  quiet: flag('say nothing while it runs'),
};

/** Options of those that can be watched in a browser. */
export const dashboardOptions = {
  dashboard: flag('serve a page that shows the run, on this machine; it stays until Ctrl-C'),
  port: wholeNumber('port of the page; by default any free one', 0, 65_535),
};

/** What was given for {@link watchOptions}, and how a run is watched beside them. */
export interface Watching extends Values<typeof watchOptions>, Partial<Values<typeof dashboardOptions>> {
  readonly out: Output;
  /** Aborted when somebody wants it to end. */
  readonly signal: AbortSignal;
  /** Where the run can go on; undefined: nowhere. */
  readonly kept?: Kept;
  /** Where a run has a store: how the dashboard forks it. */
  readonly fork?: DashboardOptions['fork'];
}

/** Something that tells what it does and can be started: a run, or an orchestrator with what it is started with. */
export type Watched =
  | Run
  | { readonly events$: Observable<WorkflowEvent>; result(): Promise<WorkflowResult> };

/** Runs it, shows it in the ways that were asked for, tells how it ended and how to go on; resolves with the exit code. */
export async function watch(source: Watched, watching: Watching): Promise<number> {
  const { out, kept, signal } = watching;
  // Everybody is there before the first event: whoever subscribes to a run starts it.
  const events$ = new Subject<WorkflowEvent>();
  // Made into text once, whoever reads it.
  const lines$ = events$.pipe(eventLines(), share());
  if (watching.log !== undefined) keepLines(lines$, watching.log);
  if (!watching.quiet) events$.pipe(terminal({ stream: out.stderr })).subscribe();
  const page = watching.dashboard === true ? await served(source, lines$, watching) : undefined;
  // Why it breaks is told by its result.
  source.events$.subscribe({ next: (event) => events$.next(event), error: () => events$.complete() });
  try {
    const result = await source.result().finally(() => events$.complete());
    out.answer(
      () => asDocument(result, kept),
      () => escapeControl(String(result.report)),
    );
    if (!out.isJson) for (const line of goingOn(result, kept, Date.now())) out.note(line);
    if (page !== undefined && !signal.aborted) await aborted(signal);
    return exitCodes[result.status];
  } finally {
    await page?.close();
  }
}

async function served(
  source: Watched,
  lines$: Observable<string>,
  { out, port = 0, fork }: Watching,
): ReturnType<typeof serveDashboard> {
  const page = await serveDashboard('cancelTask' in source ? { lines$, run: source } : { lines$ }, {
    port,
    ...(fork !== undefined && { fork }),
  });
  out.note(`dashboard: ${page.url}`);
  return page;
}
