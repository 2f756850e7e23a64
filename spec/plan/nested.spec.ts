import { firstValueFrom, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  channel,
  failed,
  fallback,
  memory,
  merged,
  optional,
  type RxhiveError,
  race,
  type Task,
  type TaskContext,
  typed,
  WorkflowDefinitionError,
  workflow,
} from '../../lib/index.js';
import { fakeAgent, simulate } from '../../lib/testing/index.js';
import { graphSvg } from '../../lib/views/graph-svg.js';
import { overProcesses } from '../support/over-processes.js';

const faultsOf = (define: () => { run(): unknown }): readonly string[] => {
  try {
    define().run();
  } catch (error) {
    if (error instanceof WorkflowDefinitionError) return error.faults.map(({ message }) => message);
    throw error;
  }
  return [];
};

function chapters() {
  const flow = workflow({
    name: 'chapter',
    input: typed<{ title: string }>(),
    state: { words: 0 },
  });
  const outline = flow.task('outline', { run: (_, ctx) => `outline of ${ctx.input.title}` });
  const text = flow.task('text', {
    dependencies: { outline },
    run: ({ outline }, ctx) => {
      ctx.update((state) => {
        state.words += ctx.input.title.length;
      });
      return `text by ${outline}`;
    },
  });
  return { flow, outline, text };
}

test('tasks of a nested workflow are tasks of the run, three levels deep, each copy with input and state of its own', async () => {
  const { flow: chapter, outline, text } = chapters();
  const book = workflow({ name: 'book', input: typed<{ titles: readonly string[] }>() });
  const plan = book.task('plan', { run: (_, ctx) => ctx.input.titles });
  const one = book.task('one', {
    workflow: chapter,
    dependencies: { plan },
    input: ({ plan }) => ({ title: plan[0] ?? '' }),
    output: text,
  });
  const two = book.task('two', {
    workflow: chapter,
    dependencies: [plan],
    input: async ([plan]) => ({ title: plan[1] ?? '' }),
    output: { text, outline: optional(outline) },
  });
  book.task('bind', {
    dependencies: { one, two },
    run: ({ one, two }) => [one satisfies string, two.text, two.outline satisfies string | undefined],
  });
  const shelf = workflow({ name: 'shelf', state: { sold: 0 } });
  shelf.task('book', { workflow: book, input: { titles: ['bee', 'honey'] } });
  const { status, results, state, tasks } = await shelf.run().result();
  assert.is(status, 'succeeded');
  assert.equal(results.get('book'), [
    'text by outline of bee',
    'text by outline of honey',
    'outline of honey',
  ]);
  assert.equal(state as unknown, { sold: 0, book: { one: { words: 3 }, two: { words: 5 } } });
  assert.equal(
    [...tasks.keys()].sort(),
    [
      ...['book', 'book.input', 'book/bind', 'book/plan'],
      ...['book/one', 'book/one.input', 'book/one/outline', 'book/one/text'],
      ...['book/two', 'book/two.input', 'book/two/outline', 'book/two/text'],
    ].sort(),
  );
  // Learnt together, however often it is nested.
  assert.is(tasks.get('book/two/text')?.type, 'chapter/text');
});

test('what a nested task adds, joins, asks and says stays within its workflow', async () => {
  const words = channel<string>('words');
  const inner = workflow({ name: 'inner', input: typed<string>() });
  const kind = inner.taskType('kind', {
    run: (data: number, ctx) => `${data} ${ctx.input} in ${ctx.taskId}`,
  });
  const head = inner.task('head', { run: (_, ctx) => ctx.send(words, ctx.input).then(() => ctx.input) });
  inner.task('hears', { run: async (_, ctx) => (await ctx.receive(words)).value });
  const server = inner.task('server', {
    run: async (_, ctx) => {
      const request = await firstValueFrom(ctx.requests$<string>({ from: 'asks' }));
      await request.reply(`${request.value} ${ctx.input}`);
      return 'served';
    },
  });
  inner.task('asks', { run: (_, ctx) => ctx.ask(server, 'hello') });
  inner.task('adds', {
    run: async (_, ctx) => {
      const child = ctx.spawn('child', {
        dependencies: { head },
        run: ({ head }, own) => [head, own.taskId],
      });
      return ctx.join([head, child, ctx.spawn(kind, 'typed', 1)]);
    },
  });
  inner.onTaskComplete(head, (value, add) => add('handled', { run: () => value }));
  const flow = workflow({ name: 'outer' });
  flow.task('a', { workflow: inner, input: 'A' });
  flow.task('b', { workflow: inner, input: 'B' });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded', String(result.error ?? ''));
  for (const [id, letter] of [
    ['a', 'A'],
    ['b', 'B'],
  ] as const) {
    assert.equal(result.results.get(id), {
      head: letter,
      hears: letter,
      server: 'served',
      asks: `hello ${letter}`,
      adds: [letter, [letter, `${id}/child`], `1 ${letter} in ${id}/typed`],
    });
    assert.is(result.results.get(`${id}/handled`), letter);
  }
});

test('who loses a race in a nested workflow is stopped, and its failure does not count', async () => {
  const inner = workflow({ name: 'inner' });
  const rivals = [
    inner.task('fast', { run: (_, ctx) => ctx.sleep(10).then(() => 'fast') }),
    inner.task('slow', { run: (_, ctx) => ctx.sleep(50) }),
    inner.task('bad', { run: () => Promise.reject(new Error('planned')) }),
  ];
  inner.task('first', { dependencies: [race(rivals)], run: ([first]) => first });
  const flow = workflow({ name: 'outer' });
  flow.task('race', { workflow: inner });
  const { result } = await simulate(flow, {});
  assert.equal([result.status, result.results.get('race'), result.report.wallMs], ['succeeded', 'fast', 10]);
  assert.is(result.tasks.get('race/slow')?.status, 'cancelled');
});

test('a nested workflow ends when each of its tasks has, also where what needs them is skipped before', async () => {
  const inner = workflow({ name: 'inner' });
  const off = inner.task('off', { when: () => false, run: () => 'off' });
  const late = inner.task('late', {
    run: (_, ctx) =>
      ctx.sleep(10).then(() => {
        throw new Error('too late');
      }),
  });
  inner.task('both', { dependencies: [off, late], run: () => 'both' });
  const flow = workflow({ name: 'outer' });
  flow.task('whole', { workflow: inner });
  const { result } = await simulate(flow, {});
  const { status, error } = result.tasks.get('whole') ?? {};
  // It is not a decision alone that has kept it from a result.
  assert.equal([status, (error as RxhiveError).code], ['failed', 'NESTED_FAILED']);
  assert.match((error as Error).message, '"whole/late" failed: too late');
  assert.not(result.tasks.get('whole/both')?.decided);
  assert.equal(result.tasks.get('whole/both')?.skippedBecause, ['whole/off', 'whole/late']);
});

test('streams, races and items work in a nested workflow as outside', async () => {
  const inner = workflow({ name: 'inner', input: typed<readonly number[]>() });
  const numbers = inner.task('numbers', { run: (_, ctx) => of(...ctx.input) });
  inner.task('sum', {
    dependencies: { numbers: merged(numbers) },
    run: async (inputs) => {
      const seen: number[] = [];
      await inputs.forEach(({ value }) => void seen.push(value));
      return seen;
    },
  });
  inner.task('first', {
    dependencies: [
      race([inner.task('fast', { run: () => 1 }), inner.task('slow', { run: (_, ctx) => ctx.sleep(99) })]),
    ],
    run: ([won]) => won,
  });
  inner.each('items', { from: ['x', 'y'], keep: true, run: (item, ctx) => `${item} ${ctx.input.length}` });
  const flow = workflow({ name: 'outer' });
  flow.task('in', { workflow: inner, input: [1, 2, 3] });
  const { result } = await simulate(flow);
  const { sum, first, items } = result.results.get('in') as Record<string, unknown>;
  assert.equal([sum, first], [[1, 2, 3], 1]);
  assert.equal((items as { values: unknown }).values, ['x 3', 'y 3']);
});

test('a nested workflow fails where an output has no result, and is skipped where its input has none', async () => {
  const inner = workflow({ name: 'inner' });
  const bad = inner.task('bad', { run: () => Promise.reject(new Error('no paper')) });
  const after = inner.task('after', { dependencies: [bad], run: () => 'never' });
  const rescued = inner.task('rescued', { dependencies: [optional(bad)], run: ([one]) => one ?? 'rescued' });
  const flow = workflow({ name: 'outer' });
  const fails = flow.task('fails', { workflow: inner, output: after });
  const works = flow.task('works', { workflow: inner, output: rescued });
  flow.task('goes on', { dependencies: [optional(fails), works], run: (all) => all });
  const inputless = flow.task('inputless', { workflow: inner, dependencies: [fails], output: rescued });
  const { status, results, tasks } = await flow.run().result();
  assert.is(status, 'partial');
  assert.equal(results.get('goes on'), [undefined, 'rescued']);
  const error = tasks.get('fails')?.error as RxhiveError;
  assert.is(error.code, 'NESTED_FAILED');
  assert.match(error.message, 'Workflow "inner" has no result of "after", as "fails/bad" failed: no paper');
  assert.is((error.cause as Error).message, 'no paper');
  assert.equal(error.details, { workflow: 'inner', tasks: ['after'] });
  for (const id of [inputless.id, 'inputless.input', 'inputless/bad', 'inputless/rescued'])
    assert.is(tasks.get(id)?.status, 'skipped', id);
});

test('who handles the failure of a nested workflow handles what failed in it, at any depth', async () => {
  for (const onFailure of ['continue', 'fail-fast'] as const)
    for (const works of [true, false]) {
      const inner = workflow({ name: 'inner' });
      const bad = inner.task('bad', { run: () => Promise.reject(new Error('no paper')) });
      const after = inner.task('after', { dependencies: [bad], run: () => 'never' });
      const middle = workflow({ name: 'middle' });
      const whole = middle.task('whole', { workflow: inner, output: after });
      const flow = workflow({ name: 'outer', failurePolicy: onFailure });
      const fails = flow.task('fails', { workflow: middle, output: whole });
      flow.task('after', { dependencies: [fails], run: () => 'never' });
      flow.task('handler', {
        dependencies: [failed(fails)],
        run: ([error]) => {
          if (!works) throw error;
          return 'handled';
        },
      });
      const { status, tasks } = await flow.run().result();
      const bads = onFailure === 'fail-fast' ? 'failed' : 'partial';
      assert.is(status, works ? 'succeeded' : bads, `${onFailure} ${works}`);
      assert.is(tasks.get('fails/whole/bad')?.status, 'failed');
    }
});

test('an input that does not fit the schema fails before any task of the workflow starts', async () => {
  const text = {
    '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'no text' }] }) },
  } as const;
  const inner = workflow({ name: 'inner', input: text as never });
  inner.task('work', { run: () => assert.unreachable() });
  const flow = workflow({ name: 'outer' });
  flow.task('in', { workflow: inner as never, input: 1 as never });
  const { tasks } = await flow.run().result();
  assert.is((tasks.get('in.input')?.error as RxhiveError | undefined)?.code, 'INVALID_RESULT');
  assert.is(tasks.get('in')?.status, 'skipped');
});

test('limits: its own concurrency, groups of the run by name, retries and priorities of it', async () => {
  const inner = workflow({ name: 'inner', concurrency: 1, groups: { llm: { concurrency: 9 } }, retry: 1 });
  for (const id of ['x', 'y']) inner.task(id, { group: 'llm', run: fakeAgent({ duration: 1_000 }) });
  inner.task('z', { run: (_, ctx) => (ctx.attempt === 1 ? Promise.reject(new Error('once')) : 'z') });
  const flow = workflow({ name: 'outer', groups: { llm: { concurrency: 2 } } });
  flow.task('a', { workflow: inner });
  flow.task('b', { workflow: inner });
  flow.task('c', { workflow: inner, priority: 1 });
  const { result } = await simulate(flow);
  assert.is(result.status, 'succeeded');
  // Two at once by the group, one of each copy by its concurrency: c and another, then what is left of b one by one.
  assert.is(result.report.wallMs, 4_000);
  const startOf = (id: string): number => result.tasks.get(id)?.attempts[0]?.startedAt ?? Number.NaN;
  assert.is(startOf('c/x') < startOf('b/x') || startOf('c/x') < startOf('a/x'), true);
});

test('what makes no sense is told with the other faults', () => {
  const { flow: chapter, text } = chapters();
  const one = faultsOf(() => {
    const flow = workflow({ name: 'outer', state: { in: 1 } });
    flow.task('in', {
      workflow: chapter,
      input: { title: '' },
      output: text,
      retry: 3,
      always: true,
    } as never);
    return flow;
  });
  assert.equal(one, [
    'Task "in": retry is no option of a task that is a workflow; give it to the tasks of workflow "chapter".',
    'Task "in": always is no option of a task that is a workflow; give it to the tasks of workflow "chapter".',
    'Task "in": the state of workflow "outer" has the key "in", where that of the nested workflow would be; rename one.',
  ]);
  const limited = workflow({
    name: 'limited',
    budget: { calls: 1 },
    failurePolicy: 'fail-fast',
    groups: { llm: { concurrency: 1 } },
  });
  const other = workflow({ name: 'other', groups: { llm: { concurrency: 2 } } });
  const two = faultsOf(() => {
    const flow = workflow({ name: 'outer' });
    flow.task('a', { workflow: limited });
    flow.task('b', { workflow: other, output: text });
    flow.task('c', { workflow: 1 } as never);
    return flow;
  });
  assert.equal(two, [
    'Task "a": budget of workflow "limited" has no effect where it is nested; give it to a group.',
    'Task "a": failurePolicy "fail-fast" of workflow "limited" would end the whole run; give it to the outer workflow too, or leave it out.',
    'Task "b": groups.llm of workflow "other" differs from that of another nested workflow; give it to the outer workflow.',
    'Task "b": output has a value of type object; give tasks of the workflow, or optional(...), settled(...) or orElse(...) of them.',
    'Task "c": workflow is 1; give what workflow() returned.',
  ]);
  const circle = workflow({ name: 'circle' });
  circle.task('again', { workflow: circle });
  assert.equal(
    faultsOf(() => circle),
    ['Task "again": workflow "circle" is nested in itself, which would have no end; leave it out.'],
  );
});

test('pictures draw a frame around each nested workflow, in one another', async () => {
  const { flow: chapter, text } = chapters();
  const book = workflow({ name: 'book' });
  book.task('one', { workflow: chapter, input: { title: '' }, output: text });
  const shelf = workflow({ name: 'shelf' });
  shelf.task('book', { workflow: book });
  assert.is(
    shelf.graph(),
    `flowchart LR
  subgraph g2["book"]
    t0["book.input"]
    t5["book"]
    subgraph g1["book/one"]
      t1["book/one.input"]
      t2["book/one/outline"]
      t3["book/one/text"]
      t4["book/one"]
    end
  end
  t0 -. after .-> t1
  t1 -. after .-> t2
  t2 --> t3
  t3 -. settled .-> t4
  t4 -. settled .-> t5
`,
  );
  const svg = await graphSvg(shelf);
  assert.equal(
    svg.match(/class="frame"[^>]*>.*?<text[^>]*>([^<]*)/g)?.map((one) => one.split('>').at(-1)),
    ['book', 'book/one'],
  );
});

test('types: input, dependencies and outputs', () => {
  const { flow: chapter, text } = chapters();
  const flow = workflow({ name: 'outer' });
  const title = flow.task('title', { run: () => 'bees' });
  const one: Task<string> = flow.task('one', { workflow: chapter, input: { title: '' }, output: text });
  const two: Task<{ readonly text: string }> = flow.task('two', {
    workflow: chapter,
    dependencies: { title },
    input: ({ title }) => ({ title }),
    output: { text },
  });
  // @ts-expect-error the input is missing
  flow.task('three', { workflow: chapter });
  // @ts-expect-error the input has another type
  flow.task('four', { workflow: chapter, input: { title: 1 } });
  // @ts-expect-error no option of a nested workflow
  flow.task('five', { workflow: chapter, input: { title: '' }, retry: 1 });
  // @ts-expect-error it is a string
  const six: Task<number> = flow.task('six', { workflow: chapter, input: { title: '' }, output: text });
  assert.equal([one.id, two.id, six.id], ['one', 'two', 'six']);
});

test('a run goes on in the midst of nested workflows: what had ended is not called again', async () => {
  const called: string[] = [];
  const call = (ctx: TaskContext<unknown, string>): string => {
    called.push(ctx.taskId);
    return ctx.input;
  };
  let broken = true;
  const define = () => {
    const inner = workflow({ name: 'inner', input: typed<string>() });
    const first = inner.task('first', { run: (_, ctx) => call(ctx) });
    inner.task('second', {
      dependencies: [first],
      run: ([first], ctx) => {
        if (broken) throw new Error('broken');
        return `${first} ${call(ctx)}`;
      },
    });
    const flow = workflow({ name: 'outer' });
    flow.task('a', { workflow: inner, input: 'A' });
    return flow;
  };
  const store = memory();
  assert.is((await define().run({ store, runId: 'one' }).result()).status, 'partial');
  broken = false;
  const { status, results } = await define().run({ store, runId: 'one', retry: 'failed' }).result();
  assert.equal([status, results.get('a')], ['succeeded', 'A A']);
  assert.equal(called, ['a/first', 'a/second']);
  const past = await define().history(store, 'one');
  assert.equal(past.snapshotAt(past.last).results.get('a/first'), 'A');
});

test('the innermost of three workflows asks in one process, and is answered in another', () => {
  overProcesses('spec/support/nested-run.ts', (life) => {
    const asked = life();
    assert.is(asked.status, 'suspended');
    const [question] = asked.questions as { readonly taskId: string; readonly prompt: string }[];
    assert.equal([question?.taskId, question?.prompt], ['one/first/approval', 'Print "draft of bees 1"?']);
    const answered = life('yes');
    assert.is(answered.status, 'succeeded');
    assert.is(answered.bound, 'bees 1: draft of bees 1, yes');
    assert.equal(answered.state, { one: { first: { asked: 1 } } });
    assert.equal(answered.ran, ['one/first/approval', 'one/first', 'one', 'bind']);
  });
});

test('candidates of a fallback are named behind its task, in nested workflows too', async () => {
  const inner = workflow({ name: 'inner' });
  inner.task('draft', {
    run: fallback([
      { name: 'a', run: () => Promise.reject(new Error('down')) },
      { name: 'b', run: () => 'from b' },
    ]),
  });
  const outer = workflow({ name: 'outer' });
  outer.task('part', { workflow: inner });
  const flow = workflow({ name: 'whole' });
  const whole = flow.task('whole', { workflow: outer });
  const { status, results, tasks } = await flow.run().result();
  assert.is(status, 'succeeded');
  assert.is(results.get(whole), 'from b');
  assert.is(tasks.get('whole/part/draft/a')?.status, 'failed');
  assert.is(results.get('whole/part/draft/b'), 'from b');
});

test('who cancels a task that is a workflow ends what is in it, but for its cleanup', async () => {
  const aborted: string[] = [];
  const wait = (_: unknown, ctx: TaskContext<unknown, undefined>) =>
    new Promise<void>(() => {
      ctx.signal.addEventListener('abort', () => aborted.push(ctx.taskId));
    });
  const inner = workflow({ name: 'inner', concurrency: 3 });
  const slow = inner.task('slow', { run: wait });
  inner.task('behind', { dependencies: [optional(slow)], run: () => assert.unreachable() });
  inner.each('items', { from: [1], run: (_, ctx) => wait(_, ctx) });
  inner.task('give back', { always: true, dependencies: [optional(slow)], run: () => 'given back' });
  const middle = workflow({ name: 'middle' });
  middle.task('deep', { workflow: inner });
  const flow = workflow({ name: 'outer' });
  flow.task('part', { workflow: middle });
  flow.task('part/other', { run: () => 'goes on' });
  const run = flow.run();
  run.events$.subscribe((event) => {
    if (event.type === 'task' && event.reason === 'running' && event.taskId === 'part/deep/items/0')
      run.cancelTask('part', 'enough');
  });
  const { results, tasks } = await run.result();
  assert.equal(aborted.sort(), ['part/deep/items/0', 'part/deep/slow']);
  assert.is(tasks.get('part')?.status, 'cancelled');
  assert.is(tasks.get('part/deep/behind')?.status, 'cancelled');
  assert.is(results.get('part/deep/give back'), 'given back');
  assert.is(results.get('part/other'), 'goes on');
});

test.run();
