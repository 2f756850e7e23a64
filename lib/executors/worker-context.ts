import { onAbort } from '../kernel/abort.js';
import type { Clock } from '../kernel/clock.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { TaskContext, Usage } from '../model/context.js';
import type { OrderFacts } from '../model/wire.js';

/** What the context of an attempt tells its controller. */
export interface ContextWords {
  usage(usage: Usage): void;
  limits(headers: Readonly<Record<string, string>>): void;
  log(message: string, data: unknown): void;
}

/** What a body in a worker gets beside its inputs: all of `ctx` that needs no state, tasks or messages of its run. */
export type WorkerContext = Pick<
  TaskContext,
  | 'signal'
  | 'attempt'
  | 'taskId'
  | 'runId'
  | 'input'
  | 'idempotencyKey'
  | 'carrier'
  | 'sleep'
  | 'breathe'
  | 'usage'
  | 'limits'
  | 'log'
>;

/** The rest of `ctx`, and what to do instead. */
const elsewhere: Readonly<Partial<Record<keyof TaskContext, string>>> = {
  update: 'return what is to be written, and let a task that depends on this one write it',
  read: 'read the state in a task before this one and depend on it',
  shared: 'hold what is shared in a resource of the workflow',
  spawn: 'return what is to be done, and let a task that depends on this one add it',
  join: 'depend on the tasks instead',
  outside: 'await it: a worker has no slot to give back',
  ask: 'ask in a task before this one and depend on it',
  send: 'emit values, and let a task that depends on this one send them',
  receive: 'receive in a task before this one and depend on it',
  receive$: 'receive in a task before this one and depend on it',
  requests$: 'answer requests in a task that runs in the controller',
  group: 'choose in a task before this one and depend on it',
};

/** What contexts inherit: made once, for an attempt may be short. */
const notHere = Object.create(null) as object;
for (const [name, instead] of Object.entries(elsewhere))
  Object.defineProperty(notHere, name, {
    get(this: WorkerContext) {
      const { taskId } = this;
      return () => {
        const message = `ctx.${name} is not there in a worker, for the state and the tasks of a run are in its controller; ${instead}.`;
        throw new RxhiveError('INVALID_OPTION', message, { details: { taskId } });
      };
    },
  });

/** The context of one attempt. What a worker does not have throws INVALID_OPTION, naming the way out. */
export function workerContext(
  facts: OrderFacts,
  input: unknown,
  { signal: signalOf, clock, words }: { signal: () => AbortSignal; clock: Clock; words: ContextWords },
): WorkerContext {
  const { taskId, runId, attempt, idempotencyKey, carrier } = facts;
  const later = (arm: (done: () => void) => (() => void) | undefined): Promise<void> =>
    new Promise((done, failed) => {
      const signal = signalOf();
      if (signal.aborted) return failed(signal.reason);
      const forget = arm(() => {
        unwatch();
        done();
      });
      const unwatch = onAbort(signal, () => {
        forget?.();
        failed(signal.reason);
      });
      if (forget === undefined) {
        unwatch();
        done();
      }
    });
  return {
    __proto__: notHere,
    get signal() {
      return signalOf();
    },
    attempt,
    taskId,
    runId,
    input,
    idempotencyKey,
    carrier: { ...carrier },
    sleep: (ms) => {
      if (!(Number.isFinite(ms) && ms >= 0))
        throw new RxhiveError('INVALID_OPTION', `ctx.sleep got ${inspect(ms)}; give ms from 0.`);
      return later((done) => {
        const timer = clock.after(ms, done);
        return () => clock.cancel(timer);
      });
    },
    breathe: () => later((done) => clock.breathe(done)),
    usage: (usage) => words.usage(usage),
    limits: (headers) => words.limits(limitsIn(headers)),
    log: (message, data) => words.log(message, data),
  } as WorkerContext;
}

/** Headers that tell of limits, as a record; whatever else a `Headers` object or a record holds stays where it is. */
function limitsIn(headers: unknown): Record<string, string> {
  if (typeof headers !== 'object' || headers === null) return {};
  const entries =
    typeof (headers as Headers).entries === 'function'
      ? [...(headers as Headers).entries()]
      : Object.entries(headers);
  return Object.fromEntries(
    entries
      .filter(([name]) => /ratelimit|retry-after|^date$/i.test(name))
      .map(([name, value]) => [name, String(value)]),
  );
}
