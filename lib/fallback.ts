import { contentText } from './codec/canonical.js';
import type { AttemptContext } from './execute/context.js';
import { scopeOf } from './graph/scope.js';
import { copy } from './kernel/copy.js';
import { inspect, messageOf, RxhiveError, truncate } from './kernel/errors.js';
import { callForBoolean } from './kernel/guard.js';
import { readOrRefuse } from './kernel/read-once.js';
import { type Candidate, type FallbackOptions, withCandidates } from './model/candidate.js';
import type { TaskContext } from './model/context.js';
import { settled } from './model/dependency.js';
import { belowTask, type ResultOf, type TaskOptions } from './model/task.js';

/**
 * A task body that tries one candidate after the other until one succeeds. Each runs as a task `TASK/NAME` in its own
 * group, so its limits, budget and breaker apply, and reports show it; the task itself holds no slot meanwhile. The next
 * one's turn comes when a candidate has failed, its budget is spent, or its breaker is open; one whose limit is used up or
 * whose provider holds it is passed over while another can start at once, and is tried later. Candidates that failed do
 * not make a run `partial` when another one succeeded, and what they wrote is dropped.
 *
 * ```ts
 * flow.task('draft', { run: fallback([{ name: 'gpt', group: 'openai', run: ask }, { name: 'claude', group: 'anthropic', run: ask }]) });
 * ```
 *
 * When all have failed the task fails with `TOO_FEW_SUCCEEDED`, whose cause has their errors; its `retry` begins again
 * with the first. @throws RxhiveError INVALID_OPTION
 */
export function fallback<I, S, W, const C extends readonly Candidate<I, unknown, S, W>[]>(
  given: C,
  how: FallbackOptions = {},
): (inputs: I, ctx: TaskContext<S, W>) => Promise<ResultOf<ReturnType<C[number]['run']>>> {
  const candidates = readOrRefuse('fallback', given, { '*': belowTask });
  const options = readOrRefuse('fallback', how);
  check(candidates, options);
  const { order = 'given', when = isWorthAnother } = options;
  const body = (inputs: I, ctx: TaskContext<S, W>): Promise<unknown> => {
    const errors: { readonly name: string; readonly error: unknown }[] = [];
    const queue = order === 'given' ? [...candidates] : spread(candidates, ctx);
    const next = (): Promise<unknown> => {
      const candidate = queue.splice(soonest(queue, ctx), 1)[0] as Candidate<I, unknown, S, W>;
      const child = ctx.spawn(idOf(candidate.name, ctx), taskOf(candidate, inputs));
      return ctx.join({ child: settled(child) }).then(({ child: outcome }) => {
        if (outcome.status === 'succeeded') return outcome.value;
        const { error } = outcome;
        errors.push({ name: candidate.name, error });
        if (!callForBoolean('fallback.when', () => when(error, candidate.name))) throw error;
        if (queue.length === 0) throw allFailed(ctx.taskId, errors);
        return next();
      });
    };
    return next();
  };
  const text = candidates.map(({ name, group, run }) => `${name} ${group ?? ''} ${String(run)}`).join('\n');
  // Its source text stands for its version where there is no other.
  Object.defineProperty(body, 'toString', { value: () => `fallback ${order}\n${text}` });
  return withCandidates(body, candidates as readonly Candidate[]) as never;
}

/**
 * Another attempt of the task tries its candidates anew. `##` in an id is a `#` of a name. Within a nested workflow ids are those of
 * its own tasks.
 */
function idOf(name: string, ctx: Pick<TaskContext, 'taskId' | 'attempt'>): string {
  const { taskId, attempt, node } = ctx as Partial<AttemptContext> & typeof ctx;
  const scope = node === undefined ? undefined : scopeOf(node);
  const id = `${taskId.slice(scope?.prefix.length ?? 0)}/${name.replaceAll('#', '##')}`;
  return attempt === 1 ? id : `${id}#${attempt}`;
}

function taskOf<I, S, W>(
  { name, run, ...options }: Candidate<I, unknown, S, W>,
  inputs: I,
): TaskOptions<Record<string, never>, unknown, S, W> {
  const definition = {
    ...options,
    type: name,
    candidate: true,
    whenOpen: 'fail',
    run: (_: unknown, ctx: TaskContext<S, W>) => run(copy(inputs), ctx),
    // Asked for by stores alone: inputs can be large.
    code: () => `${String(run)}\n${contentText(inputs)}`,
  };
  return definition as TaskOptions<Record<string, never>, unknown, S, W>;
}

/** Place of the first candidate that can start at once, as far as limits go; else of the one that can soonest. */
function soonest<I, S, W>(queue: readonly Candidate<I, unknown, S, W>[], ctx: TaskContext<S, W>): number {
  const waits = queue.map(({ group }) => (group === undefined ? 0 : ctx.group(group).opensIn));
  return waits.indexOf(Math.min(...waits));
}

/** Where most is left first; what others are trying already counts as used. */
function spread<I, S, W>(
  candidates: readonly Candidate<I, unknown, S, W>[],
  ctx: TaskContext<S, W>,
): Candidate<I, unknown, S, W>[] {
  return candidates
    .map((candidate) => {
      const state = candidate.group === undefined ? undefined : ctx.group(candidate.group);
      const { left, assigned } = state ?? { left: 1, assigned: 0 };
      return { candidate, score: left / (assigned + 1), assigned };
    })
    .sort((a, b) => b.score - a.score || a.assigned - b.assigned)
    .map(({ candidate }) => candidate);
}

/** What a task has failed with can always be looked at. */
function isWorthAnother(error: unknown): boolean {
  const isBug =
    error instanceof TypeError ||
    error instanceof ReferenceError ||
    error instanceof RangeError ||
    error instanceof SyntaxError;
  return !isBug || error.cause !== undefined;
}

function allFailed(
  taskId: string,
  errors: readonly { readonly name: string; readonly error: unknown }[],
): RxhiveError {
  const list = errors.map(
    ({ name, error }) => `${name}: ${error instanceof Error ? messageOf(error) : inspect(error)}`,
  );
  const message = `All ${errors.length} candidates of task "${truncate(taskId)}" failed. ${list.map(truncate).join(' ')}`;
  const failure = new RxhiveError('TOO_FEW_SUCCEEDED', message, {
    cause: new AggregateError(errors.map(({ error }) => error)),
    details: { candidates: errors.map(({ name }) => name) },
  });
  // Whoever gives the task a `retry` wants another round.
  return Object.assign(failure, { isRetryable: true });
}

function check(candidates: unknown, options: unknown): void {
  const refuse = (what: string): never => {
    throw new RxhiveError('INVALID_OPTION', `fallback ${what}`);
  };
  if (!Array.isArray(candidates) || candidates.length === 0)
    refuse('without candidates; give an array of them.');
  const names = new Set<string>();
  for (const candidate of candidates as readonly Partial<Candidate>[]) {
    const { name, run } = candidate ?? {};
    if (typeof name !== 'string' || name === '')
      refuse(`has a candidate named ${inspect(name)}; give it a name.`);
    else if (names.has(name)) refuse(`has two candidates named ${inspect(name)}; rename one.`);
    else if (typeof run !== 'function')
      refuse(`candidate ${inspect(name)} has run ${inspect(run)}; give a function.`);
    names.add(name as string);
  }
  const { order, when, ...others } = options as Record<string, unknown>;
  if (order !== undefined && order !== 'given' && order !== 'spread')
    refuse(`has order ${inspect(order)}; use "given" or "spread".`);
  if (when !== undefined && typeof when !== 'function') refuse(`has when ${inspect(when)}; give a function.`);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) refuse(`has an unknown option ${inspect(unknown)}; use order and when.`);
}
