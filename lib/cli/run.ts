import { closeSync, openSync, writeSync } from 'node:fs';
import type { Observable } from 'rxjs';
import type { WorkflowEvent } from '../model/event.js';
import type { WorkflowResult } from '../model/result.js';
import { eventLines } from '../observe/event-log.js';
import { Workflow } from '../workflow.js';
import { type Command, parse } from './command.js';
import { load } from './load.js';
import { WrongCall } from './wrong-call.js';

/** `rxhive run MODULE [--log FILE] [--json]`; 0 when all succeeded, else 1. */
export const run: Command = async (words) => {
  const { values, positionals } = parse({
    args: [...words],
    allowPositionals: true,
    options: { json: { type: 'boolean' }, log: { type: 'string' } },
  });
  const result = await execute(positionals[0], values.log);
  if (values.json === true) {
    const { status, report } = result;
    console.log(JSON.stringify({ status, tasks: [...result.tasks.values()], wallMs: report.wallMs }));
  } else console.log(String(result.report));
  return result.status === 'succeeded' ? 0 : 1;
};

async function execute(module: string | undefined, log: string | undefined): Promise<WorkflowResult> {
  const found = await load(module);
  if (found instanceof Workflow) {
    const run = found.run();
    if (log !== undefined) keep(run.events$, log);
    return run.result();
  }
  if (log !== undefined) keep(found.events$, log);
  return found.executeWorkflow();
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
