import type { WorkflowEvent } from '../model/event.js';
import { type EventLogOptions, eventWriter } from '../observe/event-log.js';
import { RunView } from './run-view.js';

/** The run that `events` tell of, as a log would have kept it: without secrets, errors as plain data. */
export function recorded(events: Iterable<WorkflowEvent>, options: EventLogOptions = {}): RunView {
  const view = new RunView();
  const write = eventWriter(options);
  for (const event of events) view.apply(JSON.parse(write(event)) as WorkflowEvent);
  return view;
}
