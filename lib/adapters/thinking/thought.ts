import { inspect } from '../../kernel/errors.js';

/** One step of {@link sequentialThinking}. */
export interface Thought {
  /** From 1, in the order in which they came, revisions and branches included. */
  readonly number: number;
  /** How many there will be, as far as is known now; never below `number`. */
  readonly total: number;
  readonly text: string;
  /** Another one is needed. */
  readonly next: boolean;
  /** Number of the thought that it replaces. */
  readonly revises?: number;
  /** Name of the branch that it is part of; undefined: the main line. */
  readonly branch?: string;
  /** With the first of a branch: number of the thought where it begins. */
  readonly from?: number;
  /** With the last one: all, itself included. */
  readonly thoughts?: readonly Thought[];
}

/** A thought as a model says it. What is missing has a default. */
export interface ThoughtDraft {
  readonly text: string;
  /** Default: as many as the thought before says, and its own number at least. */
  readonly total?: number;
  /** Default: there are fewer than `total`. */
  readonly next?: boolean;
  /** Its number; a wrong one is refused. Default: the one that was asked for. */
  readonly number?: number;
  readonly revises?: number;
  readonly branch?: string;
  readonly from?: number;
}

const longestText = 100_000;
const longestName = 200;

/** A draft as a thought, or what is wrong with it, in a sentence that a model can act on. */
export function thoughtOf(
  draft: unknown,
  number: number,
  before: readonly Thought[],
): { readonly thought: Thought } | { readonly problem: string } {
  if (typeof draft !== 'object' || draft === null)
    return { problem: `it is ${inspect(draft)}; give an object with text.` };
  const {
    text,
    total: said,
    next,
    revises,
    branch,
    from,
  } = draft as Partial<Record<keyof ThoughtDraft, unknown>>;
  const { number: given = number } = draft as { readonly number?: unknown };
  if (given !== number) return { problem: `its number is ${inspect(given)}; the next one is ${number}.` };
  if (typeof text !== 'string' || text.trim() === '') return { problem: 'it has no text.' };
  if (text.length > longestText) return { problem: `its text has more than ${longestText} characters.` };
  if (said !== undefined && !isCount(said))
    return { problem: `total is ${inspect(said)}; give a whole number from 1.` };
  if (next !== undefined && typeof next !== 'boolean')
    return { problem: `next is ${inspect(next)}; give true or false.` };
  for (const [name, to] of Object.entries({ revises, from }))
    if (to !== undefined && !(isCount(to) && to < number))
      return {
        problem: `${name} is ${inspect(to)}; ${number === 1 ? 'there is no thought before' : `give the number of a thought before, 1 to ${number - 1}`}.`,
      };
  const known = before.some((one) => one.branch === branch);
  if (branch !== undefined && !(typeof branch === 'string' && branch !== '' && branch.length <= longestName))
    return { problem: `branch is ${inspect(branch)}; give a name of at most ${longestName} characters.` };
  if (branch === undefined && from !== undefined)
    return { problem: 'from without branch; name the branch that begins there.' };
  if (branch !== undefined && from === undefined && !known)
    return {
      problem: `branch ${inspect(branch)} is new; give from, the number of the thought where it begins.`,
    };
  if (from !== undefined && known)
    return { problem: `branch ${inspect(branch)} has begun already; leave from out.` };
  const total = Math.max(number, (said as number | undefined) ?? before.at(-1)?.total ?? 1);
  const thought: Thought = {
    number,
    total,
    text,
    next: (next as boolean | undefined) ?? number < total,
    ...(revises !== undefined && { revises: revises as number }),
    ...(branch !== undefined && { branch: branch as string }),
    ...(from !== undefined && { from: from as number }),
  };
  return { thought };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}
