import { closeSync, openSync, writeSync } from 'node:fs';
import type { Observable } from 'rxjs';
import { serveDashboard } from '../dashboard/server.js';
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
  // On stderr: stdout belongs to the report.
  if (port !== undefined) console.error(`dashboard: ${(await serveDashboard(source, { port })).url}`);
  if (log !== undefined) keep(source.events$, log);
  if (!quiet) source.events$.pipe(terminal()).subscribe();
  return source instanceof Run ? source.result() : source.executeWorkflow();
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
