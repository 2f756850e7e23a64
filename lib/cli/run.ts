import { closeSync, openSync, writeSync } from 'node:fs';
import { type Observable, Subject } from 'rxjs';
import { type DashboardSource, serveDashboard } from '../dashboard/server.js';
import { terminal } from '../dashboard/terminal.js';
import type { WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import { eventLines } from '../observe/event-log.js';
import { Run } from '../run.js';
import { Workflow } from '../workflow.js';
import { type Command, parse } from './command.js';
import { load } from './load.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive run MODULE [--log FILE] [--dashboard [--port N]] [--quiet] [--json]`; 0 when all succeeded, else 1. */
export const run: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      log: { type: 'string' },
      dashboard: { type: 'boolean' },
      quiet: { type: 'boolean' },
      port: { type: 'string', default: '0' },
    },
  });
  const port = values.dashboard === true ? Number(values.port) : undefined;
  const result = await execute(positionals[0], { log: values.log, port, quiet: values.quiet === true });
  if (values.json === true) {
    const { status, report } = result;
    console.log(JSON.stringify({ status, tasks: [...result.tasks.values()], wallMs: report.wallMs }));
  } else console.log(String(result.report));
  return result.status === 'succeeded' ? 0 : 1;
};

async function execute(
  module: string | undefined,
  {
    log,
    port,
    quiet,
  }: { readonly log: string | undefined; readonly port: number | undefined; readonly quiet: boolean },
): Promise<WorkflowResult> {
  const found = await load(module);
  const source = found instanceof Workflow ? found.run() : found;
  // Everybody is there before the first event: whoever subscribes to a run starts it.
  const events$ = new Subject<WorkflowEvent>();
  if (log !== undefined) keep(events$, log);
  if (!quiet) events$.pipe(terminal()).subscribe();
  if (port !== undefined) {
    const { url } = await serveDashboard(source instanceof Run ? acted(source, events$) : { events$ }, {
      port,
    });
    console.error(`dashboard: ${url}`); // stdout belongs to the report
  }
  source.events$.subscribe(events$);
  return source instanceof Run ? source.result() : source.executeWorkflow();
}

/** A run to act on, whose events come from elsewhere. */
function acted(run: Run, events$: Observable<WorkflowEvent>): DashboardSource {
  return {
    events$,
    cancel: () => run.cancel(),
    cancelTask: (id) => run.cancelTask(id),
    setConcurrency: (limit) => run.setConcurrency(limit),
    setGroupConcurrency: (name, limit) => run.setGroupConcurrency(name, limit),
  };
}

/** Each line is written at once: what a process that dies has said is there. */
function keep(events$: Observable<WorkflowEvent>, file: string): void {
  let log: number;
  try {
    log = openSync(file, 'w', 0o600);
  } catch (error) {
    throw new WrongCall(`cannot write ${file}: ${(error as Error).message}`);
  }
  events$.pipe(eventLines()).subscribe({
    next: (line) => writeSync(log, `${line}\n`),
    complete: () => closeSync(log),
  });
}
