import { decode } from '../codec/codec.js';
import { CheckpointCorruptError } from '../kernel/errors.js';
import { isCapacity } from '../kernel/option-rules.js';
import { isRecord, reservedNames } from '../kernel/plain.js';
import { isChoice, isMode } from '../model/dependency.js';
import type {
  CommitRecord,
  FailedRecord,
  LoggedUsage,
  LogRecord,
  MessageRecord,
  ReplyRecord,
  StatePatch,
} from '../model/record.js';
import type { LogEntry } from '../model/store.js';
import type { Spill } from './spill.js';

/** A record from its text, which must be number `seq` of the run. @throws CheckpointCorruptError */
export function readEntry(runId: string, entry: LogEntry, seq: number, spill?: Spill): LogRecord {
  if (entry.seq !== seq) throw new CheckpointCorruptError(runId, seq, `record ${entry.seq} is in its place`);
  let found: unknown;
  try {
    found = decode(entry.body);
  } catch (error) {
    throw new CheckpointCorruptError(runId, seq, `it cannot be read: ${(error as Error).message}`);
  }
  if (!isRecord(found)) throw new CheckpointCorruptError(runId, seq, 'it is no record');
  const record = found as unknown as LogRecord;
  const problem = (seq === 1) === (record.kind === 'run') ? problemOf(record) : 'it is out of place';
  if (problem !== undefined) throw new CheckpointCorruptError(runId, seq, problem);
  return spill?.attach(record) ?? record;
}

/** Says what is wrong with a record that could be read. */
function problemOf(record: LogRecord): string | undefined {
  switch (record.kind) {
    case 'run':
      if (record.format !== 1) return `its format is ${String(record.format)}, not 1`;
      return typeof record.at === 'number' ? undefined : 'it has no time';
    case 'resumed':
      return typeof record.before === 'number' ? undefined : 'it has no time';
    case 'commit':
    case 'failed':
      return problemOfEnd(record);
    case 'usage':
      return typeof record.task === 'string' && isUsage(record.usage)
        ? undefined
        : 'it is no usage of a task';
    case 'dropped':
      return isList(record.tasks, isName) ? undefined : 'it names no tasks';
    case 'added':
      return isList(record.tasks, isAdded) ? undefined : 'it names no tasks';
    case 'begun':
      return isList(record.tasks, isBegun) ? undefined : 'it names no attempts';
    case 'attempt':
      return isName(record.task) && isCount(record.attempt) && Number.isFinite(record.until)
        ? undefined
        : 'it is no attempt of a task';
    case 'stopped':
      return undefined;
    case 'state':
      return record.given === undefined || isList(record.given, isPath) ? undefined : 'a path is none';
    case 'question':
      return typeof record.id === 'string' &&
        typeof record.task === 'string' &&
        Number.isFinite(record.at) &&
        (record.token === undefined || typeof record.token === 'string')
        ? undefined
        : 'it names no question, task or time';
    case 'answer':
      return typeof record.id === 'string' ? undefined : 'it names no question';
    case 'message':
    case 'reply':
      return problemOfMessage(record);
    case 'reader':
      return typeof record.task === 'string' && typeof record.channel === 'string' && isCount(record.after)
        ? undefined
        : 'it names no reader';
    default:
      return 'it is of no known kind';
  }
}

function problemOfEnd(record: CommitRecord | FailedRecord): string | undefined {
  const isNumber = (one: unknown): boolean => typeof one === 'number';
  if (typeof record.task !== 'string' || typeof record.version !== 'string') return 'it names no task';
  if (!isList(record.at, isNumber) || record.at.length !== 2) return 'it has no times';
  if (record.usage !== undefined && !isUsage(record.usage)) return 'its usage is none';
  if (record.waits !== undefined && !isList(record.waits, isNumber))
    return 'its waits are no list of numbers';
  if (record.spawned !== undefined && !isList(record.spawned, isAdded))
    return 'the tasks it added have no names';
  if (record.joined !== undefined && !isList(record.joined, isName)) return 'what it waited for has no names';
  if (record.parent !== undefined && !isName(record.parent)) return 'who added it has no name';
  if (record.added !== undefined && !isAdded(record.added)) return 'what added it is none';
  if (record.item !== undefined && !isRecord(record.item)) return 'its item is none';
  if (record.kind === 'failed') return undefined;
  for (const patches of [record.patches, record.inverse])
    if (patches !== undefined && !isList(patches, isPatch)) return 'a change of the state is none';
  if (record.streamed !== undefined && record.streamed !== true) return 'whether it is a stream is not said';
  if (record.wrote !== undefined && !isList(record.wrote, isPath)) return 'a path is none';
  return undefined;
}

function problemOfMessage(record: MessageRecord | ReplyRecord): string | undefined {
  if (record.v !== 1) return `its envelope is of version ${String(record.v)}, not 1`;
  const { id, from, at } = record;
  if (typeof id !== 'string' || typeof from !== 'string' || !Number.isFinite(at))
    return 'it names no message, task or time';
  if (record.kind === 'reply') return undefined;
  const keyed = record.key === undefined || typeof record.key === 'string';
  return typeof record.channel === 'string' && isCount(record.seq) && keyed
    ? undefined
    : 'it names no channel';
}

function isName(value: unknown): boolean {
  return typeof value === 'string';
}

function isBegun(value: unknown): boolean {
  return isList(value, () => true) && isName(value[0]) && isCount(value[1]);
}

/** A task that was added: its name, or what brings it back. */
function isAdded(value: unknown): boolean {
  if (isName(value)) return true;
  if (!isRecord(value) || !isName(value.id)) return false;
  const { type, group, options, dependencies } = value;
  const named = [type, group].every((one) => one === undefined || isName(one));
  const fits = options === undefined || isRecord(options);
  return named && fits && (dependencies === undefined || isList(dependencies, isDependency));
}

function isDependency(value: unknown): boolean {
  if (!isRecord(value) || !isName(value.id)) return false;
  const { mode = 'value', key, choice, need, capacity } = value;
  if (!isMode(mode)) return false;
  const chosen = isChoice(mode as string) ? isCount(choice) && isCount(need) : choice === undefined;
  return chosen && (key === undefined || isName(key)) && (capacity === undefined || isCapacity(capacity));
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}

function isPatch(value: unknown): boolean {
  const { op, path } = (value ?? {}) as Partial<StatePatch>;
  return typeof op === 'string' && isPath(path);
}

function isUsage({ group, models = {}, ...amounts }: LoggedUsage): boolean {
  const areNumbers = (one: object): boolean => Object.values(one).every((n) => typeof n === 'number');
  const groupFits = group === undefined || typeof group === 'string';
  return groupFits && areNumbers(amounts) && Object.values(models).every(areNumbers);
}

function isList(value: unknown, each: (one: unknown) => boolean): value is readonly unknown[] {
  return Array.isArray(value) && value.every(each);
}

/** A path of the state; one that could reach a prototype is none. */
function isPath(value: unknown): boolean {
  return isList(
    value,
    (key) => (typeof key === 'string' || typeof key === 'number') && !reservedNames.has(key),
  );
}
