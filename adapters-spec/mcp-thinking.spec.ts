import { workflow } from 'rxhive';
import { sequentialThinking, type ThinkingStep, type Thought, type ThoughtDraft } from 'rxhive/agents';
import { mcpClient, mcpThoughts } from 'rxhive/mcp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { installed } from './mcp-servers.js';

const server = installed('sequential-thinking');

interface Recorded {
  readonly thoughtNumber: number;
  readonly totalThoughts: number;
  readonly thoughtHistoryLength: number;
  readonly branches: readonly string[];
}

/** `mcpThoughts`, and what the server answered. */
function watched(through: ReturnType<typeof mcpThoughts>) {
  const said = new Map<string, Recorded[]>();
  const wrapped: typeof through = (ctx) => {
    const recorder = through(ctx);
    const mine: Recorded[] = [];
    said.set(ctx.taskId, mine);
    return {
      record: async (thought) => {
        const { structured } = (await recorder.record(thought)) as { structured: Recorded };
        mine.push(structured);
      },
      close: () => recorder.close?.(),
    };
  };
  return { said, through: wrapped };
}

const drafts: readonly ThoughtDraft[] = [
  { text: 'Begin.', total: 4 },
  { text: 'No, otherwise.', revises: 1 },
  { text: 'Or try this.', branch: 'try', from: 1 },
  { text: 'And on.', branch: 'try', next: true },
  { text: 'Done.', next: false },
];
const think = ({ number }: ThinkingStep<unknown>): ThoughtDraft => drafts[number - 1] as ThoughtDraft;

test('four think at once through the real server, each with a history of its own', async () => {
  const { said, through } = watched(mcpThoughts(server));
  const agent = sequentialThinking({ think, through });
  const flow = workflow({ name: 'thinkers' });
  const tasks = ['a', 'b', 'c', 'd'].map((id) => flow.task(id, { run: (_, ctx) => agent(id, ctx) }));
  const run = flow.run();
  const values: Thought[] = [];
  run.values$(tasks[2] as (typeof tasks)[0]).subscribe((value) => values.push(value));
  const result = await run.result();
  assert.is(result.status, 'succeeded', String(result.report));
  assert.equal(
    values.map(({ number }) => number),
    [1, 2, 3, 4, 5],
  );
  for (const id of ['a', 'b', 'c', 'd'])
    assert.equal(
      said.get(id)?.map(({ thoughtHistoryLength, branches }) => [thoughtHistoryLength, ...branches]),
      [[1], [2], [3, 'try'], [4, 'try'], [5, 'try']],
    );
});

test('several can share one server, whose history is then that of all', async () => {
  await using client = mcpClient(server);
  const { said, through } = watched(mcpThoughts(client));
  const agent = sequentialThinking({ think, through });
  const flow = workflow({ name: 'thinkers' });
  for (const id of ['a', 'b', 'c']) flow.task(id, { run: (_, ctx) => agent(id, ctx) });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded', String(result.report));
  const lengths = [...said.values()].flat().map(({ thoughtHistoryLength }) => thoughtHistoryLength);
  assert.equal(
    lengths.sort((a, b) => a - b),
    Array.from({ length: 15 }, (_, i) => i + 1),
  );
});

test.run();
