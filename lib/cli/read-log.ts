import { readFileSync, writeFileSync } from 'node:fs';
import { RunView } from '../dashboard/view-model.js';
import { readEventLog } from '../observe/event-log.js';
import { WrongCall } from './wrong-call.js';

/** A log as text; its lines are events. @throws WrongCall */
export function readLog(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    readEventLog(text);
    return text;
  } catch (error) {
    throw new WrongCall(`cannot read ${file}: ${(error as Error).message}`);
  }
}

/** The run a log tells of. @throws WrongCall */
export function viewOf(log: string): RunView {
  const view = new RunView();
  for (const event of readEventLog(log)) view.apply(event);
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
