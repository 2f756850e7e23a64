import { map, mergeMap, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromProcess } from '../lib/adapters/process/process.js';
import type { AdaptedAgent } from '../lib/entry/agents.js';
import type { Limiter } from '../lib/entry/limits.js';
import {
  AgentTask,
  type Channel,
  channel,
  fallback,
  human,
  type LimiterSettings,
  latest,
  merged,
  optional,
  paired,
  quorum,
  race,
  sampled,
  typed,
  virtual,
  type WorkflowEvent,
  WorkflowOrchestrator,
  workflow,
} from '../lib/index.js';

test('what must not compile does not', async () => {
  const flow = workflow({ name: 'types', state: { n: 0 }, groups: { llm: { concurrency: 1 } } });
  const text = flow.task('text', { run: async () => 'abc' });
  flow.task('length', {
    dependencies: { text },
    group: 'llm',
    run: ({ text }) => text.length satisfies number,
  });
  // @ts-expect-error no such dependency
  flow.task('a', { dependencies: { text }, run: ({ texts }) => texts });
  flow.task('b', {
    dependencies: [text],
    // @ts-expect-error a string has no toFixed
    run: ([t]) => t.toFixed(),
  });
  const load$ = of({ eventLoop: 0.5 });
  workflow({ name: 'loaded', load$, memory: { soft: 0.7, hard: 0.9 } }).run({ load$ });
  // @ts-expect-error a sample has shares, not words
  flow.run({ load$: of({ eventLoop: 'busy' }) });
  // @ts-expect-error no such watermark
  workflow({ name: 'loaded', load$, memory: { warm: 0.7 } });
  // @ts-expect-error no such group
  flow.task('c', { group: 'gpu', run: () => 1 });
  flow.task('d', {
    run: (_, ctx) => {
      ctx.update((state) => {
        // @ts-expect-error no such field of the state
        state.m = 1;
      });
    },
  });
  flow.task('asks', {
    run: async (_, ctx) => {
      const answer = await ctx.ask(human(typed<{ ok: boolean }>(), { deadline: 1, default: { ok: false } }));
      // @ts-expect-error the answer has no such field
      answer.yes;
      // @ts-expect-error the default is no answer
      human(typed<number>(), { deadline: 1, default: 'one' });
      return answer.ok satisfies boolean;
    },
  });
  const votes = channel<{ ok: boolean }>('votes');
  const parsed = channel('parsed', { schema: typed<number>() });
  flow.task('talks', {
    run: async (_, ctx) => {
      const sent = await ctx.send(votes, { ok: true }, { key: 'mine' });
      sent.value.ok satisfies boolean;
      // @ts-expect-error that is no vote
      void ctx.send(votes, { ok: 'yes' });
      // @ts-expect-error the channel has the type of its schema
      void ctx.send(parsed, 'one');
      for await (const { value, from } of ctx.receive$(votes, { from: [text, 'talks too'] })) {
        // @ts-expect-error a vote has no such field
        value.yes;
        if (value.ok) return from satisfies string;
      }
      for await (const { value } of ctx.receive$([votes, parsed])) value satisfies number | { ok: boolean };
      // @ts-expect-error neither of the two says texts
      (await ctx.receive([votes, parsed])).value satisfies string;
      // @ts-expect-error a channel has a policy of three words
      channel('wrong', { onFull: 'explode' });
      const known = await ctx.ask(text, 'well?', { schema: typed<number>(), timeout: 5 });
      const unknown = await ctx.ask('text', { any: 'thing' });
      // @ts-expect-error nobody has said what the reply is
      unknown.toFixed();
      for await (const request of ctx.requests$<{ q: string }>()) await request.reply(request.value.q);
      // @ts-expect-error a channel of one type is no channel of another
      votes satisfies Channel<{ ok: string }>;
      return known.toFixed();
    },
  });
  flow.task('e', {
    dependencies: { text: latest(text) },
    // @ts-expect-error a streaming join delivers an Observable
    run: (inputs) => inputs.text,
  });
  const count = flow.task('count', { run: () => 1 });
  flow.task('e2', {
    dependencies: { text: paired(text), count: paired(count), tone: sampled(text) },
    run: (inputs$) =>
      inputs$.pipe(map(({ text: a, count: b, tone }) => [a.length, b.toFixed(), tone.length])),
  });
  flow.task('e3', {
    dependencies: { text: merged(text), count: merged(count) },
    run: (inputs$) =>
      inputs$.pipe(
        map((input) => {
          // @ts-expect-error there is nothing beside what is merged
          input.inputs satisfies unknown;
          return input.from === 'text' ? input.value.length : input.value.toFixed();
        }),
      ),
  });
  flow.task('e4', {
    dependencies: [merged(text), count, merged(count), optional(text)],
    tokens: ({ from: place }) => place + 1,
    run: (inputs$) =>
      inputs$.pipe(
        map(({ from: place, inputs: [known, maybe] }) => [
          place satisfies 0 | 2,
          known.toFixed(),
          maybe?.length,
        ]),
      ),
  });
  flow.task('f', {
    dependencies: { one: race([text, count]), two: quorum(2, [text, count]) },
    run: ({ one, two: [x, y] }) => [one, x, y] satisfies (string | number)[],
  });
  flow.task('g', {
    dependencies: { two: quorum(2, [text, text]) },
    // @ts-expect-error a quorum of two has no third
    run: ({ two }) => two[2],
  });
  flow.task('h', {
    dependencies: { one: race([text, count]) },
    // @ts-expect-error it may be a number
    run: ({ one }) => one.length,
  });
  // @ts-expect-error modes belong to the race, not to who takes part
  flow.task('i', { dependencies: [race([latest(text)])], run: () => 1 });
  flow.task('n', { dependencies: { text }, tokens: ({ text }) => text.length, run: () => 1 });
  // @ts-expect-error tokens get the inputs
  flow.task('o', { dependencies: { text }, tokens: ({ texts }) => texts, run: () => 1 });
  // @ts-expect-error no such window
  const settings: LimiterSettings = { requestsPerMinute: 5, requestsPerHour: 5 };
  assert.throws(() => virtual(settings) satisfies Limiter, /requestsPerHour is unknown/);
  const chosen = flow.task('j', {
    dependencies: { text },
    run: fallback([
      { name: 'a', group: 'llm', run: async ({ text }) => text.length },
      { name: 'b', run: ({ text }, ctx) => text.length + ctx.read().n },
    ]),
  });
  flow.task('k', { dependencies: { chosen }, run: ({ chosen }) => chosen satisfies number });
  flow.task('l', {
    dependencies: { text },
    // @ts-expect-error a candidate gets the inputs of its task
    run: fallback([{ name: 'a', run: ({ texts }) => texts }]),
  });
  // @ts-expect-error no such quantile
  flow.task('m', { hedge: { after: 'p42' }, run: () => 1 });
  const command = fromProcess('cat', [], { output: 'text' });
  const said = flow.task('p', { run: (_, ctx) => command('x', ctx) });
  flow.task('q', { dependencies: { said }, run: ({ said }) => said satisfies string });
  // @ts-expect-error a text is no number
  fromProcess('cat', [], { output: 'text' }) satisfies AdaptedAgent<unknown, number>;
  // @ts-expect-error lines are lines of JSON, text, or read by a function
  assert.throws(() => fromProcess('cat', [], { output: 'xml' }), /output is "xml"/);
  assert.throws(() => flow.run(), /"gpu"/);
});

test('an unknown group of an orchestrator does not compile where its name is known', () => {
  const orchestrator = new WorkflowOrchestrator({
    agents: { work: () => 1, rest: () => 2 },
    concurrencyGroups: { llm: 1, web: { concurrency: 2 } },
  });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'work', concurrencyGroup: 'llm' }));
  orchestrator.addTask(new AgentTask({ id: 'b', agentType: 'work' }));
  // @ts-expect-error no such group
  orchestrator.addTask(new AgentTask({ id: 'c', agentType: 'work', concurrencyGroup: 'lmm' }));
  // @ts-expect-error no such agent
  orchestrator.addTask(new AgentTask({ id: 'd', agentType: 'wrok', concurrencyGroup: 'llm' }));
  const made = ['e', 'f'].map((id) => new AgentTask({ id, agentType: 'rest', concurrencyGroup: 'web' }));
  const odd = ['g'].map((id) => new AgentTask({ id, agentType: 'rest', concurrencyGroup: 'wbe' }));
  for (const task of [...made, new AgentTask({ id: 'h', agentType: 'work' })]) orchestrator.addTask(task);
  // @ts-expect-error one of them is in no such group
  for (const task of [...made, ...odd]) orchestrator.addTask(task);
  // Known at run time only: that is when it is told.
  const group = ['x', 'llm'][1] as string;
  orchestrator.addTask(new AgentTask({ id: 'i', agentType: 'work', concurrencyGroup: group }));
  orchestrator.onTaskComplete('a', (_, add) => {
    add(new AgentTask({ id: 'j', agentType: 'work', concurrencyGroup: 'web' }));
    // @ts-expect-error no such group
    add(new AgentTask({ id: 'k', agentType: 'work', concurrencyGroup: 'bew' }));
  });
  const none = new WorkflowOrchestrator({ agents: { work: () => 1 } });
  // @ts-expect-error it has no groups
  none.addTask(new AgentTask({ id: 'a', agentType: 'work', concurrencyGroup: 'llm' }));
  // @ts-expect-error no such option
  new WorkflowOrchestrator({ agents: {}, states: { n: 0 } });
  // @ts-expect-error no such option
  new AgentTask({ id: 'a', agentType: 'work', retries: 3 });
});

test('the mistakes of the first day do not compile', async () => {
  const flow = workflow({ name: 'first day' });
  const text = flow.task('text', { run: () => 'abc' });
  const more = workflow({ name: 'no runs' });
  const define = (): void => {
    // @ts-expect-error a dependency is a task, not its name
    more.task('a', { dependencies: ['text'], run: () => 1 });
    // @ts-expect-error nor so
    more.task('b', { dependencies: { text: 'text' }, run: () => 1 });
    // @ts-expect-error the run is missing
    more.task('c', { dependencies: { text } });
    // @ts-expect-error here too
    more.task('d', {});
  };
  assert.type(define, 'function');
  // @ts-expect-error a run is no promise: it waits for nothing
  const run = await flow.run();
  assert.is((await flow.run().result()).status, 'succeeded');
  run.cancel();
  // In a pipeline it is the Observable of its events all the same.
  of(1)
    .pipe(mergeMap(() => flow.run()))
    .subscribe((event) => event satisfies WorkflowEvent);
});

test('items of a stage are the results of the one before', () => {
  const flow = workflow({ name: 'stages' });
  const text = flow.task('text', { run: async () => 'abc' });
  const lengths = flow.each('lengths', {
    dependencies: { text },
    from: ({ text }) => [text],
    run: async (one) => one.length,
  });
  const halves = flow.each('halves', {
    from: lengths,
    keep: true,
    run: (n, _, inputs) => [n satisfies number, Object.keys(inputs)] as const,
  });
  flow.each('pairs', {
    dependencies: [text],
    from: halves,
    run: ([n, names], _, [text]) => [n.toFixed(), names.length, text.length],
  });
  const batches = flow.each('batches', {
    from: lengths,
    batch: { size: 2 },
    keyBy: (numbers) => numbers.length,
    run: (numbers) => numbers.map((n) => n.toFixed()),
    scan: { seed: 0, step: (sum, texts, numbers) => sum + texts.join().length + (numbers[0] ?? 0) },
  });
  flow.task('reduced', { dependencies: [batches], run: ([{ reduced }]) => reduced satisfies number });
  flow.task('none', {
    dependencies: [lengths],
    // @ts-expect-error nothing was reduced
    run: ([{ reduced }]) => reduced.toFixed(),
  });
  // @ts-expect-error a batch is an array
  flow.each('e', { from: lengths, batch: { size: 2 }, run: (n) => n.toFixed() });
  // @ts-expect-error an item is the result of the stage before, a number
  flow.each('c', { from: lengths, run: (n) => n.length });
  // @ts-expect-error a task gives no items
  flow.each('d', { from: text, run: (one: string) => one });
});

test('the value that goes round a loop has the type of from', () => {
  const flow = workflow({ name: 'loops', groups: { llm: {} }, state: { n: 0 }, input: typed<string>() });
  const topic = flow.task('topic', { run: async () => 'bees' });
  const count = flow.loop('count', { from: 0, until: (n) => n > 3, max: 5, run: (n) => n + 1 });
  const text = flow.loop('text', {
    dependencies: { topic },
    from: async ({ topic }) => ({ text: topic satisfies string, good: false }),
    until: async ({ good }, ctx) => (good satisfies boolean) && ctx.input.length > 0,
    max: 5,
    atMax: 'keep',
    group: 'llm',
    run: async ({ text }, ctx, { topic }) => {
      ctx.update((state) => {
        state.n += text.length;
      });
      return { text: text + topic, good: true };
    },
  });
  flow.task('both', {
    dependencies: { count, text },
    run: ({ count, text }) => count.toFixed() + text.text.trim(),
  });
  flow.task('typed', {
    dependencies: { text },
    // @ts-expect-error the value has no such field
    run: ({ text }) => text.words,
  });
  // @ts-expect-error a turn returns another type than it is given
  const a = () => flow.loop('a', { from: 0, until: (n) => n > 3, max: 5, run: (n) => `${n}` });
  // @ts-expect-error max is required
  const b = () => flow.loop('b', { from: 0, until: (n) => n > 3, run: (n) => n + 1 });
  // @ts-expect-error until is a yes or no
  const c = () => flow.loop('c', { from: 0, until: (n) => n, max: 5, run: (n) => n + 1 });
  // @ts-expect-error there is no such group
  const d = () => flow.loop('d', { from: 0, until: (n) => n > 3, max: 5, group: 'gpu', run: (n) => n + 1 });
  // @ts-expect-error there is nothing to do
  const e = () => flow.loop('e', { from: 0, until: (n) => n > 3, max: 5 });
  for (const wrong of [a, b, c, d, e]) assert.type(wrong, 'function');
});

test.run();
