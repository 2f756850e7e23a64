import { inspect, truncate } from '../kernel/errors.js';
import { isRecord } from '../kernel/plain.js';
import { readText } from './option.js';
import { WrongCall } from './wrong-call.js';

/** One task of a workload file. */
export interface WorkloadTask {
  readonly id: string;
  /** Kind of work: `type` or `kind` in the file, else the id without the number at its end. */
  readonly type: string;
  readonly seconds: number;
  readonly deps: readonly string[];
  /** Amount of each resource it holds while it runs, in the order of `capacity`. */
  readonly demand: readonly number[];
}

/** A graph of durations, as read from a file. */
export interface Workload {
  readonly name: string;
  readonly capacity: readonly number[];
  readonly tasks: readonly WorkloadTask[];
}

/** The JSON value in a file. @throws WrongCall */
export function readJson(file: string): unknown {
  const text = readText(file);
  try {
    return JSON.parse(text);
  } catch {
    throw new WrongCall(`${file} is not JSON`);
  }
}

/**
 * Reads `{ name, tasks: [{ id, seconds, deps, demand? }], capacity? }`; other fields are ignored. Whether
 * dependencies exist and have no cycle is for the workflow to say.
 * @throws WrongCall that names the field
 */
export function readWorkload(file: string): Workload {
  const fail = (why: string): never => {
    throw new WrongCall(`${file} is no workload: ${why}`);
  };
  const found = readJson(file);
  if (!isRecord(found)) return fail(`it holds ${inspect(found)}; give an object with name and tasks`);
  const { name, tasks, capacity = [] } = found;
  if (typeof name !== 'string' || name === '') return fail(`name is ${inspect(name)}; give a text`);
  if (!Array.isArray(tasks) || tasks.length === 0)
    return fail(`tasks is ${inspect(tasks)}; give an array with at least one task`);
  if (!isAmounts(capacity)) return fail('capacity is not an array of numbers from 0');
  const read = (item: unknown, i: number): WorkloadTask => {
    if (!isRecord(item))
      return fail(`tasks[${i}] is ${inspect(item)}; give an object with id, seconds and deps`);
    const { id, seconds, deps, demand = capacity.map(() => 0) } = item;
    if (typeof id !== 'string' || id === '') return fail(`tasks[${i}].id is ${inspect(id)}; give a text`);
    const where = `task "${truncate(id)}"`;
    if (!isAmount(seconds)) return fail(`${where}: seconds is ${inspect(seconds)}; give a number from 0`);
    if (!Array.isArray(deps) || !deps.every((dep) => typeof dep === 'string'))
      return fail(`${where}: deps is ${inspect(deps)}; give an array of ids`);
    if (!isAmounts(demand) || demand.length !== capacity.length)
      return fail(
        `${where}: demand is not an array of ${capacity.length} numbers from 0, one for each capacity`,
      );
    const over = demand.findIndex((amount, k) => amount > (capacity[k] as number));
    if (over >= 0)
      return fail(
        `${where}: demand[${over}] is ${demand[over]}, more than the capacity of ${capacity[over]}`,
      );
    const type = [item.type, item.kind].find((one) => typeof one === 'string' && one !== '');
    return { id, type: (type as string | undefined) ?? typeOf(id), seconds, deps, demand };
  };
  return { name, capacity, tasks: tasks.map(read) };
}

/** Expected seconds by type of task (or by id), as a file holds them. @throws WrongCall */
export function readEstimates(file: string): ReadonlyMap<string, number> {
  const found = readJson(file);
  if (!isRecord(found) || !Object.values(found).every(isAmount))
    throw new WrongCall(`${file} holds no estimates: give an object of seconds (from 0) by type of task`);
  return new Map(Object.entries(found) as [string, number][]);
}

/** `mProject_ID0000001` is an `mProject`. */
function typeOf(id: string): string {
  return id.replace(/[-_.]?(ID)?\d+$/, '') || id;
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isAmounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isAmount);
}
