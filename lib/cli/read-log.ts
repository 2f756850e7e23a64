import { writeFileSync } from 'node:fs';
import { RunView } from '../dashboard/view-model.js';
import type { WorkflowEvent } from '../model/event.js';
import { readEventLog } from '../observe/event-log.js';
import { readText, reasonOf } from './option.js';
import { WrongCall } from './wrong-call.js';

/** A log as text, and the events that its lines are. @throws WrongCall */
export function readLog(file: string): { readonly text: string; readonly events: readonly WorkflowEvent[] } {
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
    throw new WrongCall(`cannot write ${file}: ${reasonOf(error)}`);
  }
}
