import { readFileSync, writeFileSync } from 'node:fs';
import { RunView } from '../dashboard/view-model.js';
import type { WorkflowEvent } from '../model/event.js';
import { readEventLog } from '../observe/event-log.js';
import { WrongCall } from './wrong-call.js';

/** A log as text, and the events that its lines are. @throws WrongCall */
export function readLog(file: string): { readonly text: string; readonly events: readonly WorkflowEvent[] } {
  try {
    const text = readFileSync(file, 'utf8');
    return { text, events: readEventLog(text) };
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${(error as Error).message}`);
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
    throw new WrongCall(`cannot write ${file}: ${(error as Error).message}`);
  }
}
