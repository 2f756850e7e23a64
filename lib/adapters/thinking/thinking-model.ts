import { lastValueFrom } from 'rxjs';
import type { AdaptedAgent } from '../contract.js';
import { promptOf } from '../contract.js';
import type { ThinkingOptions, ThinkingStep } from './sequential-thinking.js';
import type { Thought, ThoughtDraft } from './thought.js';

const task = `Work on the task below in numbered thoughts, one at a time. A thought may revise an earlier one, or begin a branch
to try something else. Change your mind where a thought shows that you were wrong. Write the next thought only, as one JSON object:
{"text": "the thought; in the last one the answer", "total": how many thoughts you expect in all, "next": false when this is the
last one, "revises": number of the thought it replaces, "branch": "name of its branch", "from": number of the thought where a new
branch begins}. Leave out what does not apply.`;

/**
 * Makes a model think for {@link sequentialThinking}: it is asked for one thought at a time, as JSON, with all thoughts so
 * far. `ask` is an agent that takes a prompt and gives text: one of an adapter, without memory or tools of its own.
 */
export function thinkingModel<I = unknown>(ask: AdaptedAgent<string, string>): ThinkingOptions<I>['think'] {
  return async (step, ctx) => draftOf(await lastValueFrom(ask(promptFor(step), ctx)));
}

function promptFor<I>({ input, thoughts, number, left, problem }: ThinkingStep<I>): string {
  const limit = left === 1 ? 'It has to be the last one.' : `At most ${left} can follow, this one included.`;
  const parts = [
    task,
    `Task:\n${promptOf(input)}`,
    ...thoughts.map(lineOf),
    `Thought ${number} is next. ${limit}`,
    ...(problem === undefined ? [] : [`What you wrote for it was refused: ${problem}`]),
  ];
  return parts.join('\n\n');
}

function lineOf({ number, total, text, revises, branch, from }: Thought): string {
  const notes = [
    ...(revises === undefined ? [] : [`revises ${revises}`]),
    ...(branch === undefined ? [] : [`branch ${branch}`]),
    ...(from === undefined ? [] : [`from ${from}`]),
  ];
  return `Thought ${number}/${total}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}: ${text}`;
}

/** Models like to write around their JSON. What is none is a text, which is refused. */
function draftOf(text: string): ThoughtDraft {
  const [begin, end] = [text.indexOf('{'), text.lastIndexOf('}')];
  try {
    return JSON.parse(text.slice(begin, end + 1)) as ThoughtDraft;
  } catch {
    return text as unknown as ThoughtDraft;
  }
}
