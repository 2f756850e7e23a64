import { writeFileSync } from 'node:fs';
import type { WorkflowEvent } from '../model/event.js';
import { readEventLog } from '../observe/event-log.js';
import { RunView } from '../views/run-view.js';
import { readText, reasonOf } from './option.js';
import { codeOf, firstLine } from './output.js';
import { WrongCall } from './wrong-call.js';

/** A log as text, and the events that its lines are. @throws WrongCall */
function readLog(file: string): { readonly text: string; readonly events: readonly WorkflowEvent[] } {
  const text = readText(file);
  let events: readonly WorkflowEvent[];
  try {
    events = readEventLog(text);
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${(error as Error).message}`);
  }
  if (events.length === 0) throw new WrongCall(`cannot read ${file}: it holds no events of a run`);
  return { text, events };
}

/**
 * What `work` makes of a log. Where it cannot, though each line is an event, some field holds another kind of value.
 * @throws WrongCall
 */
export async function fromLog<T>(
  file: string,
  work: (log: ReturnType<typeof readLog>) => T | Promise<T>,
): Promise<T> {
  const log = readLog(file);
  try {
    return await work(log);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'INVALID_INPUT') throw new WrongCall(`cannot read ${file}: ${firstLine(error)}`);
    if (error instanceof WrongCall || (code !== undefined && code !== 'WORKFLOW_DEFINITION')) throw error;
    throw new WrongCall(`cannot make sense of ${file}; has it been changed? ${firstLine(error)}`);
  }
}

/** The run that events tell of. */
export function viewOf(events: readonly WorkflowEvent[]): RunView {
  const view = new RunView();
  for (const event of events) view.apply(event);
  return view;
}

/** @throws WrongCall */
export function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new WrongCall(`cannot write ${file}: ${reasonOf(error, 'write')}`);
  }
}
