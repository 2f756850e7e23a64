import type { Observable } from 'rxjs';
import type { WorkflowEvent, WorkflowResult } from '../../lib/index.js';

const ends = new Set(['succeeded', 'failed', 'skipped', 'cancelled', 'backing-off']);

/** Prints a line for each task that ends or has to wait for another attempt. */
export function showProgress(events$: Observable<WorkflowEvent>): void {
  events$.subscribe((event) => {
    if (event.type !== 'task' || !ends.has(event.reason)) return;
    const error = event.error instanceof Error ? `  ${event.error.message}` : '';
    const delay = event.delay === undefined ? '' : `, again in ${event.delay} ms`;
    console.log(
      `${String(event.at).padStart(6)} ms  ${event.taskId.padEnd(26)} ${event.reason}${error}${delay}`,
    );
  });
}

/** Prints status per task, the wall time against the same work one at a time, and the critical path. */
export function showSummary(parallel: WorkflowResult, sequential: WorkflowResult): void {
  console.log(`\n${'task'.padEnd(26)} ${'status'.padEnd(10)} attempts  waited  ran (ms)`);
  for (const task of parallel.tasks.values()) {
    const { dependencies, slot, backoff } = task.waits;
    const waited = String(dependencies + slot + backoff).padStart(7);
    const ran = String(task.runningMs).padStart(9);
    console.log(
      `${task.id.padEnd(26)} ${task.status.padEnd(10)} ${String(task.attempts.length).padStart(8)} ${waited} ${ran}`,
    );
  }
  const { wallMs, criticalPath } = parallel.report;
  const alone = sequential.report.wallMs;
  console.log(`\nstatus: ${parallel.status}`);
  console.log(
    `wall time: ${wallMs} ms in parallel, ${alone} ms one at a time (both measured), ${(alone / wallMs).toFixed(1)} times faster`,
  );
  console.log(`critical path, ${criticalPath.ms} ms running: ${criticalPath.tasks.join(' -> ')}`);
}
