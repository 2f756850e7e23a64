import { LimitExceededError, RxhiveError, truncate } from '../../kernel/errors.js';
import { bag, checked, isFunction, number, oneOf, required } from '../../kernel/option-rules.js';
import type { TaskContext } from '../../model/context.js';
import type { TaskSettings } from '../../model/task.js';
import { type AdaptedAgent, adaptAgent } from '../contract.js';
import type { Thought } from './thought.js';
import { type ThoughtDraft, thoughtOf } from './thought.js';

/** What a model is asked for: the next thought. */
export interface ThinkingStep<I> {
  /** What it is about. */
  readonly input: I;
  /** All thoughts so far, in order. */
  readonly thoughts: readonly Thought[];
  /** Number of the thought that is asked for, from 1. */
  readonly number: number;
  /** So many may still come, this one included. */
  readonly left: number;
  /** Why the thought that came before for this number was refused. */
  readonly problem?: string;
}

/** Keeps thoughts elsewhere while they come, such as `mcpThoughts(...)` of `rxhive/mcp`. One for each attempt. */
export interface ThoughtRecorder {
  /** Called with each thought, in order; in a retry with those of the attempts before too. */
  record(thought: Thought): unknown;
  /** The attempt has ended. */
  close?(): unknown;
}

/** How a {@link sequentialThinking} agent thinks. */
export interface ThinkingOptions<I> {
  /** The next thought: a function around a model, or {@link thinkingModel}. */
  readonly think: (step: ThinkingStep<I>, ctx: TaskContext) => ThoughtDraft | PromiseLike<ThoughtDraft>;
  /** Most thoughts, whole number from 1. Default 30. */
  readonly maxThoughts?: number;
  /**
   * When there are `maxThoughts` and another one is needed: fail with LimitExceededError (`fail`, the default; a higher limit
   * and `retry: 'failed'` go on there), or be content with what there is (`stop`).
   */
  readonly atLimit?: 'fail' | 'stop';
  /** So often a thought that makes no sense is asked for again, and told why. Default 2. */
  readonly corrections?: number;
  /** Keeps the thoughts of an attempt elsewhere too. Default: nowhere. */
  readonly through?: (ctx: TaskContext) => ThoughtRecorder;
  /** How each thought is to run: its group, retry, timeout and so on. Default: as the workflow says. */
  readonly task?: Pick<
    TaskSettings<unknown>,
    'group' | 'retry' | 'timeout' | 'priority' | 'resources' | 'estimate'
  >;
  /** Change it and thoughts that a log has are not used again, as with another input. Default: source text of `think`. */
  readonly version?: string;
}

const optionRules = bag<ThinkingOptions<unknown>>(
  'an object of options',
  {
    think: required(isFunction, 'give a function'),
    maxThoughts: number(1, 'whole'),
    atLimit: oneOf(['fail', 'stop']),
    corrections: number(0, 'whole'),
  },
  false,
);

/**
 * An agent that thinks step by step: numbered thoughts, that may revise earlier ones or begin branches, until it needs no
 * more. Each thought is a value of its stream; the last one is the result and has all others in `thoughts`.
 *
 * Each thought is a task of its own, `TASK/thought-1` and so on: it has its own retry, timeout and place in a group, while
 * the agent holds none. In a log they are kept, so a retry, a run that goes on and one with a higher limit pay for none
 * twice. Any number of agents think at once.
 *
 * ```ts
 * const plan = sequentialThinking({ think: thinkingModel(fromAiSdk(agent)), task: { group: 'llm', retry: 2 } });
 * flow.task('plan', { run: (_, ctx) => plan('How do bees find home?', ctx) });
 * ```
 * Names of the steps are those of the sequential thinking server of MCP.
 * @throws RxhiveError INVALID_OPTION
 */
export function sequentialThinking<I = unknown>(options: ThinkingOptions<I>): AdaptedAgent<I, Thought> {
  checked(options, 'sequentialThinking()', optionRules);
  const { think, through, atLimit = 'fail', maxThoughts = 30, corrections = 2, task = {} } = options;
  const version = options.version ?? String(think);
  return adaptAgent<I, Thought>(async (input, ctx, signal, tell) => {
    const recorder = through?.(ctx);
    const about = `${version}\n${textOf(input)}`;
    const thoughts: Thought[] = [];
    try {
      for (let number = 1; ; number += 1) {
        const left = maxThoughts - number + 1;
        const step = { input, thoughts: [...thoughts], number, left };
        const next = ctx.spawn(`${ctx.taskId}/thought-${number}`, {
          ...task,
          type: `${ctx.taskId}/thought`,
          version: about,
          run: (_: unknown, own: TaskContext) => thinkOnce(think, step, corrections, own),
        });
        const thought = await ctx.join(next);
        signal.throwIfAborted();
        await recorder?.record(thought);
        signal.throwIfAborted();
        thoughts.push(thought);
        const isLast = !thought.next || (left === 1 && atLimit === 'stop');
        if (isLast) return { ...thought, thoughts };
        tell.value(thought);
        if (left === 1) throw tooMany(ctx.taskId, maxThoughts);
      }
    } finally {
      await recorder?.close?.();
    }
  });
}

/** Asks for a thought until it makes sense. @throws RxhiveError INVALID_RESULT */
async function thinkOnce<I>(
  think: ThinkingOptions<I>['think'],
  step: ThinkingStep<I>,
  corrections: number,
  ctx: TaskContext,
): Promise<Thought> {
  for (let tries = 0, problem: string | undefined; ; tries += 1) {
    const told = problem === undefined ? step : { ...step, problem };
    const found = thoughtOf(await think(told, ctx), step.number, step.thoughts);
    if ('thought' in found) return found.thought;
    problem = found.problem;
    if (tries < corrections) continue;
    const message = `Task "${truncate(ctx.taskId)}": thought ${step.number} is refused: ${problem}`;
    throw new RxhiveError('INVALID_RESULT', message, {
      details: { taskId: ctx.taskId, number: step.number },
    });
  }
}

/** The input as text, to notice another one; one that cannot be written counts as the same. */
function textOf(input: unknown): string {
  try {
    return JSON.stringify(input) ?? '';
  } catch {
    return '';
  }
}

function tooMany(taskId: string, most: number): LimitExceededError {
  const message = `Task "${truncate(taskId)}" has had ${most} thoughts and needs more; raise maxThoughts (retry: 'failed' goes on there), or let atLimit be 'stop'.`;
  return new LimitExceededError('maxThoughts', most, message);
}
