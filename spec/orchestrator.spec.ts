import { of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentCall } from '../lib/entry/agents.js';
import type { TaskSettings } from '../lib/entry/types.js';
import {
  AgentTask,
  type AgentTaskOptions,
  adaptive,
  checkWorkflow,
  controller,
  type GroupOptions,
  memory,
  type OrchestratorOptions,
  type TaskContext,
  typed,
  WorkflowDefinitionError,
  type WorkflowOptions,
  WorkflowOrchestrator,
  workflow,
} from '../lib/index.js';
import type { TaskDefinition } from '../lib/model/task.js';
import { advance, SimulationScheduler, simulate } from '../lib/testing/index.js';

/** `true` where nothing is left; else what was forgotten. */
type Nothing<K> = [K] extends [never] ? true : K;

/** `true` where both are the same type. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

test('an option is typed once: for tasks, agent tasks and the engine, for workflows and orchestrators', () => {
  type Task = TaskSettings<never>;
  type Other = 'dependencies' | 'group' | 'type' | 'tokens' | 'cache' | 'when';
  type Workflow = WorkflowOptions<unknown, unknown, string, string>;
  type Shared = Exclude<keyof Workflow, 'name' | 'concurrency' | 'groups'>;
  const agents: Same<Pick<AgentTaskOptions, Exclude<keyof Task, Other>>, Omit<Task, Other>> = true;
  const engine: Nothing<Exclude<keyof Task, keyof TaskDefinition>> = true;
  const facade: Same<Pick<OrchestratorOptions<Record<string, never>>, Shared>, Pick<Workflow, Shared>> = true;
  assert.ok(agents && engine && facade);
});

test('an orchestrator has every option of a workflow, under its name or its own', () => {
  type Options = OrchestratorOptions<Record<string, never>>;
  const nothing: Nothing<Exclude<keyof WorkflowOptions, keyof Options | 'concurrency' | 'groups'>> = true;
  assert.ok(nothing);
  const groups: { readonly llm: GroupOptions } = { llm: { concurrency: 2, budget: { calls: 5 } } };
  // Whoever adds an option to workflows has to add it here.
  const every: Required<WorkflowOptions<{ n: number }, number, 'llm', 'gpu'>> = {
    name: 'every',
    description: 'all of them',
    state: { n: 1 },
    input: typed<number>(),
    concurrency: adaptive({ max: 7 }),
    policy: 'depth-first',
    heldResults: 4,
    controller: controller(),
    limiter: { requestsPerMinute: 60 },
    groups,
    resources: { gpu: 2 },
    middleware: [{}],
    retry: 2,
    timeout: { attempt: 1_000 },
    memory: { soft: 0.7 },
    load$: of(),
    failurePolicy: 'fail-fast',
    aging: 500,
    maxTasks: 50,
    retryBudget: 5,
    budget: { calls: 9 },
    prices: { small: { input: 1, output: 2 } },
  };
  const { concurrency, groups: concurrencyGroups, ...same } = every;
  const orchestrator = new WorkflowOrchestrator({
    ...same,
    agents: {},
    maxConcurrentTasks: concurrency,
    concurrencyGroups,
  });
  assert.equal(orchestrator.definition().settings, every);
});

test('an agent task has every option of a task, under its name or its own', () => {
  type Settings = keyof TaskSettings<never>;
  const nothing: Nothing<Exclude<Settings, keyof AgentTaskOptions | 'group' | 'type'>> = true;
  assert.ok(nothing);
  const key = (inputs: Readonly<Record<string, unknown>>): unknown => inputs.a;
  const every: Required<Omit<AgentTaskOptions<'work', 'llm'>, 'cache' | 'version' | 'tokens' | 'when'>> = {
    id: 'every',
    agentType: 'work',
    data: { prompt: 'x' },
    dependencies: ['a', { id: 'b', mode: 'optional' }],
    concurrencyGroup: 'llm',
    result: typed<unknown>(),
    whenOpen: 'fail',
    priority: 3,
    retry: 2,
    tolerate: true,
    always: true,
    hedge: { after: 100 },
    timeout: { attempt: 50 },
    resources: { gpu: 1 },
    estimate: 70,
    compensate: () => undefined,
    isolation: 'serializable',
    onConflict: 'fail',
    writes: 'exclusive',
    signal: new AbortController().signal,
  };
  const orchestrator = new WorkflowOrchestrator({
    agents: { work: () => 1 },
    concurrencyGroups: { llm: 1 },
    resources: { gpu: 1 },
  });
  for (const id of ['a', 'b']) orchestrator.addTask(new AgentTask({ id, agentType: 'work' }));
  const tokens = ({ a, b }: Readonly<Record<string, unknown>>): number => Number(a) + Number(b);
  const when = ({ a, b }: Readonly<Record<string, unknown>>): boolean => Number(a) < Number(b);
  orchestrator.addTask(new AgentTask({ ...every, cache: { key, ttl: 9 }, version: 'v2', tokens, when }));
  const { tasks } = orchestrator.definition();
  const made = tasks[2];
  const { id: _, agentType, dependencies, concurrencyGroup, ...same } = every;
  for (const [name, value] of Object.entries(same))
    assert.equal((made as unknown as Record<string, unknown>)[name], value, name);
  assert.is(made?.type, agentType);
  assert.is(made?.group, concurrencyGroup);
  assert.is(Object.keys(made?.dependencies ?? {}).length, dependencies.length);
  assert.match(made?.code?.() ?? '', /^v2\n/);
  // Functions of inputs get them by id, as the agent does.
  const call = (given: unknown): unknown => (given as (inputs: readonly unknown[]) => unknown)([4, 5]);
  assert.is(call(made?.tokens), 9);
  assert.is(call(made?.when), true);
  assert.is(call(made?.cache?.key), 4);
  assert.is(made?.cache?.ttl, 9);
  assert.equal(
    checkWorkflow(orchestrator).map(({ kind }) => kind),
    ['always-in-vain'],
  );
});

test('agents share a state, and are told its type', async () => {
  const count = (_: AgentCall, ctx: TaskContext<{ n: number }, number>): number => {
    ctx.update((state) => {
      state.n += ctx.input;
    });
    return ctx.read((state) => state.n);
  };
  const orchestrator = new WorkflowOrchestrator({
    agents: {
      count,
      free: (_, ctx) => {
        ctx.update((state) => {
          // @ts-expect-error no such field of the state
          state.m = 1;
        });
        return ctx.read().n.toFixed();
      },
    },
    state: { n: 1 },
    input: typed<number>(),
  });
  for (const id of ['a', 'b']) orchestrator.addTask(new AgentTask({ id, agentType: 'count' }));
  const store = memory();
  const result = await orchestrator.executeWorkflow({ input: 10, store, runId: 'r' });
  assert.equal(result.state satisfies { n: number }, { n: 21 });
  const past = await orchestrator.workflow().history(store, 'r');
  assert.equal(past.snapshotAt(past.last).state, { n: 21 });
  // @ts-expect-error an input is declared
  (): unknown => orchestrator.executeWorkflow();
});

test('resources, retryBudget, policy and timeouts of an orchestrator hold', async () => {
  const order: string[] = [];
  const orchestrator = new WorkflowOrchestrator({
    agents: {
      work: async ({ id }, ctx) => {
        order.push(`${id}:${ctx.attempt}`);
        await ctx.sleep(10);
        if (id.startsWith('bad')) throw new Error('planned');
      },
    },
    resources: { gpu: 1 },
    retry: { count: 3, backoff: () => 1 },
    retryBudget: 1,
    policy: 'fifo',
  });
  for (const id of ['a', 'b', 'c'])
    orchestrator.addTask(new AgentTask({ id, agentType: 'work', resources: { gpu: 1 } }));
  for (const id of ['bad1', 'bad2']) orchestrator.addTask(new AgentTask({ id, agentType: 'work' }));
  const { result } = await simulate(orchestrator);
  assert.is(result.report.retries, 1);
  assert.is(result.report.wallMs, 30, 'one GPU');
  assert.equal(
    order.filter((one) => !one.startsWith('bad')),
    ['a:1', 'b:1', 'c:1'],
  );
});

test('dependencies that may fail are data, too', async () => {
  const orchestrator = new WorkflowOrchestrator({
    agents: {
      fails: () => {
        throw new Error('planned');
      },
      tells: ({ inputs }) => inputs,
    },
  });
  orchestrator.addTask(new AgentTask({ id: 'news', agentType: 'fails', tolerate: true }));
  orchestrator.addTask(
    new AgentTask({ id: 'a', agentType: 'tells', dependencies: [{ id: 'news', mode: 'optional' }] }),
  );
  orchestrator.addTask(
    new AgentTask({
      id: 'b',
      agentType: 'tells',
      dependencies: ['a', { id: 'news', mode: 'orElse', value: 'none' }],
    }),
  );
  orchestrator.addTask(
    new AgentTask({ id: 'c', agentType: 'tells', dependencies: [{ id: 'news', mode: 'settled' }] }),
  );
  const { status, results } = await orchestrator.executeWorkflow();
  assert.is(status, 'succeeded');
  assert.equal(results.get('a'), { news: undefined });
  assert.equal(results.get('b'), { a: { news: undefined }, news: 'none' });
  assert.match(JSON.stringify(results.get('c')), /"status":"failed"/);
});

test('the run that goes on can be looked at, changed and closed', async () => {
  const scheduler = new SimulationScheduler();
  const orchestrator = new WorkflowOrchestrator({
    agents: { work: (_: AgentCall, ctx: TaskContext) => ctx.sleep(10) },
  });
  assert.is(orchestrator.currentRun, undefined);
  const result = orchestrator.executeWorkflow({ keepOpen: true, scheduler });
  orchestrator.currentRun?.setConcurrency(1);
  for (const id of ['a', 'b']) orchestrator.addTask(new AgentTask({ id, agentType: 'work' }));
  assert.match(orchestrator.currentRun?.explain('b') ?? '', /waits for a slot \(1 of 1 in use\)/);
  orchestrator.currentRun?.cancelTask('b', 'not needed');
  await advance(scheduler, 20);
  orchestrator.currentRun?.close();
  await advance(scheduler);
  assert.match(String((await result).report), /cancelled "b": .*not needed/);
  assert.is(orchestrator.currentRun, undefined);
});

test('all faults come together, in the names of the orchestrator', async () => {
  const orchestrator = new WorkflowOrchestrator({
    agents: { work: () => 1 } as Record<string, () => number>,
    maxConcurrentTasks: 0,
    concurrencyGroups: { llm: 0, web: { budget: { calls: -1 }, limiter: { requestsPerMinute: 0 } } },
  });
  for (let i = 0; i < 5; i++)
    orchestrator.addTask(
      new AgentTask({ id: `d${i}`, agentType: 'work', concurrencyGroup: 'data' as string }),
    );
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'nobody', dependencies: ['missing'] }));
  orchestrator.addTask(
    new AgentTask({ id: 'b', agentType: 'work', dependencies: ['a'], priority: Number.NaN }),
  );
  orchestrator.addTask(
    new AgentTask({ id: 'c', agentType: 'work', dependencies: [{ id: 'a', mode: 'maybe' as 'optional' }] }),
  );
  const error = (await orchestrator.executeWorkflow().then(
    () => undefined,
    (failure) => failure,
  )) as WorkflowDefinitionError;
  assert.instance(error, WorkflowDefinitionError);
  const told = error.message.split('\n').slice(1);
  for (const [kind, line] of [
    ['unknown-agent', /Task "a" wants agent "nobody", which does not exist; add it to agents\./],
    ['unknown-dependency', /Task "a" depends on "missing", which does not exist/],
    ['unknown-dependency', /Task "c" depends on .* give the id of a task, or \{ id, mode \}\./],
    ['unknown-group', /Task "d0" \(and 4 more\) is in group "data", .* add it to concurrencyGroups\./],
    ['bad-number', /maxConcurrentTasks is 0/],
    ['bad-number', /concurrencyGroups\.llm\.concurrency is 0/],
    ['bad-number', /concurrencyGroups\.web\.budget\.calls is -1/],
    [
      'bad-option',
      /concurrencyGroups\.web\.limiter\.requestsPerMinute is 0|concurrencyGroups\.web\..*requestsPerMinute/,
    ],
    ['bad-number', /Task "b": priority is NaN/],
  ] as const) {
    assert.ok(
      error.faults.some((fault) => fault.kind === kind),
      kind,
    );
    assert.is(told.filter((one) => line.test(one)).length, 1, `${line} in ${error.message}`);
  }
  assert.not.match(error.message, /[^y]groups|flow\.task/);
  assert.is(error.faults.length, 13);
  assert.equal(error.details, { faults: 13 });
  // Told once by those who print errors with their fields.
  assert.not.ok(Object.keys(error).includes('faults'));
  assert.is(checkWorkflow(orchestrator).filter(({ kind }) => kind === 'definition').length, 13);
});

test('an agent that does not exist is refused at once while a run goes on', async () => {
  const orchestrator = new WorkflowOrchestrator({
    agents: { work: () => 1 } as Record<string, () => number>,
  });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'work' }));
  orchestrator.onTaskComplete('a', (_, add) => add(new AgentTask({ id: 'b', agentType: 'nobody' })));
  const { tasks } = await orchestrator.executeWorkflow();
  assert.match(String(tasks.get('a')?.error), /wants agent "nobody"/);
});

test('a workflow is a task of an orchestrator, and an orchestrator of a workflow', async () => {
  const inner = workflow({ name: 'inner', input: typed<string>() });
  const loud = inner.task('loud', { run: (_, ctx) => ctx.input.toUpperCase() });
  const agents = {
    says: ({ data, inputs }: { readonly data: unknown; readonly inputs: object }) =>
      `${String(data)} ${Object.entries(inputs).join()}`,
  };
  const team = new WorkflowOrchestrator({ agents });
  team.addTask(new AgentTask({ id: 'a', agentType: 'says', data: 'bee' }));
  team.addWorkflow('in', {
    workflow: inner,
    dependencies: ['a'],
    input: (inputs) => String(inputs.a),
    output: loud,
  });
  team.addTask(new AgentTask({ id: 'b', agentType: 'says', data: 'so', dependencies: ['in'] }));
  team.onTaskComplete('in', (_, add) =>
    add(new AgentTask({ id: 'c', agentType: 'says', data: 'and', dependencies: ['b'] })),
  );
  const alone = await team.executeWorkflow();
  assert.is(alone.results.get('b'), 'so in,BEE ');
  assert.is(alone.results.get('c'), 'and b,so in,BEE ');
  const outer = workflow({ name: 'outer' });
  outer.task('team', { workflow: team.workflow() });
  const { results } = await outer.run().result();
  assert.is(results.get('team'), 'so in,BEE ');
  assert.is(results.get('team/in/loud'), 'BEE ');
  assert.is(results.get('team/c'), 'and b,so in,BEE ');
});

test('an agent works turn by turn, each with what the one before has made', async () => {
  const calls: string[] = [];
  const make = (version: string) => {
    const team = new WorkflowOrchestrator({
      agents: {
        topic: () => 'bees',
        writer: {
          version,
          run: ({ id, data, inputs, last }: AgentCall) => {
            calls.push(id);
            return `${String(last)}${String(data)}${Object.keys(inputs).join()}`;
          },
        },
      },
      concurrencyGroups: { llm: 1 },
    });
    team.addTask(new AgentTask({ id: 'topic', agentType: 'topic' }));
    team.addLoop('text', {
      agentType: 'writer',
      data: '+',
      dependencies: ['topic'],
      concurrencyGroup: 'llm',
      from: ({ topic }) => String(topic),
      until: (text) => text.length > 15,
      max: 3,
    });
    team.addTask(new AgentTask({ id: 'end', agentType: 'topic', dependencies: ['text'] }));
    return team;
  };
  const store = memory();
  const first = await make('1').executeWorkflow({ store, runId: 'r' });
  assert.is(first.status, 'succeeded');
  assert.is(first.results.get('text'), 'bees+topic+topic');
  assert.is(first.tasks.get('text/1')?.type, 'writer');
  const again = await make('1').executeWorkflow({ store: memory(store.dump()), runId: 'r' });
  assert.is(again.status, 'succeeded');
  assert.equal(calls, ['text', 'text']);
  await make('2').executeWorkflow({ store, runId: 'r' });
  assert.is(calls.length, 4);
  assert.match(make('1').graph(), 'text (loop, at most 3)');
  const options = { from: 0, until: () => true, max: 1 };
  // @ts-expect-error there is no such agent
  const wrong = make('1').addLoop('l', { ...options, agentType: 'nobody' });
  assert.throws(() => wrong.workflow().run(), /wants agent "nobody"/);
});

test.run();
