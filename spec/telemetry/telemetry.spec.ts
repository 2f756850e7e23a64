import { context, propagation, type SpanContext, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { defer, delay, of } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentTask, type Middleware, WorkflowOrchestrator, workflow } from '../../lib/index.js';
import { meter } from '../../lib/telemetry/otel.js';
import { prometheus } from '../../lib/telemetry/prometheus.js';
import { tracing, withCarrier } from '../../lib/telemetry/tracing.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { showcase } from '../support/showcase.js';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('spec');
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
test.before.each(() => exporter.reset());

const spans = (): ReadableSpan[] => exporter.getFinishedSpans();
const named = (name: string): ReadableSpan => {
  const found = spans().filter((span) => span.name === name);
  assert.is(found.length, 1, `${found.length} spans named ${name}`);
  return found[0] as ReadableSpan;
};
const parentOf = (span: ReadableSpan): string | undefined => span.parentSpanContext?.spanId;
const idOf = (span: ReadableSpan | SpanContext): string =>
  'spanId' in span ? span.spanId : span.spanContext().spanId;

/** What an instrumented SDK does: a span under whatever is active. */
async function callModel(name: string): Promise<void> {
  const span = tracer.startSpan(name);
  await Promise.resolve();
  span.end();
}

test('50 parallel nested agents: every parent is who called, every link a dependency', async () => {
  const flow = workflow({ name: 'outer', concurrency: 50, middleware: [tracing({ tracer })] });
  const plan = flow.task('plan', { run: () => callModel('call plan') });
  for (let i = 0; i < 50; i++) {
    flow.task(`agent_${i}`, {
      type: 'agent',
      dependencies: { plan },
      retry: { count: 1, backoff: { initial: 1, jitter: 'none' } },
      run: (_, ctx) => {
        const shape = i % 4;
        const fail = i % 5 === 0 && ctx.attempt === 1;
        const tag = `${i} attempt ${ctx.attempt}`;
        if (shape === 0)
          return (async function* () {
            for (let part = 0; part < 3; part++) {
              await ctx.sleep(1 + ((i * 7 + part) % 4));
              await callModel(`generator ${tag} part ${part}`);
              if (fail && part === 1) throw new Error('again');
              yield part;
            }
          })();
        if (shape === 1)
          return defer(() => {
            const span = tracer.startSpan(`observable ${tag}`);
            span.end();
            if (fail) throw new Error('again');
            return of(1).pipe(delay(2));
          });
        if (shape === 2)
          return (async () => {
            await ctx.sleep(i % 3);
            await callModel(`promise ${tag}`);
            if (fail) throw new Error('again');
            const inner = workflow({ name: `inner ${tag}`, middleware: [tracing({ tracer })] });
            inner.task('leaf', { run: () => callModel(`leaf ${tag}`) });
            return (await inner.run().result()).status;
          })();
        return (async () => {
          if (fail) throw new Error('again');
          const child = ctx.spawn(`child_${i}`, { run: () => callModel(`child call ${i}`) });
          await ctx.join(child);
        })();
      },
    });
  }
  const result = await flow.run({ runId: 'r' }).result();
  assert.is(result.status, 'succeeded', String(result.report));
  const run = named('invoke_workflow outer');
  assert.is(parentOf(run), undefined);
  const attempts = spans().filter((span) => span.name === 'invoke_agent agent');
  const attemptOf = (i: number, attempt: number): ReadableSpan => {
    const found = attempts.find(
      (span) =>
        span.attributes['rxhive.task.id'] === `agent_${i}` && span.attributes['rxhive.attempt'] === attempt,
    );
    assert.ok(found !== undefined, `attempt ${attempt} of agent_${i}`);
    return found;
  };
  assert.is(attempts.length, 60);
  const planAttempt = named('invoke_agent plan');
  for (let i = 0; i < 50; i++) {
    const task = named(`task agent_${i}`);
    assert.is(parentOf(task), idOf(run));
    assert.equal(
      task.links.map((link) => link.context.spanId),
      [idOf(planAttempt)],
    );
    const last = i % 5 === 0 ? 2 : 1;
    for (let attempt = 1; attempt <= last; attempt++) {
      const own = attemptOf(i, attempt);
      assert.is(parentOf(own), idOf(task));
      assert.is(own.status.code, attempt < last ? 2 : 0, `status of attempt ${attempt} of ${i}`);
      const tag = `${i} attempt ${attempt}`;
      const inside = spans().filter((span) =>
        new RegExp(`^(generator|observable|promise) ${tag}( |$)`).test(span.name),
      );
      for (const span of inside) assert.is(parentOf(span), idOf(own), span.name);
      if (i % 4 === 0) assert.is(inside.length, attempt < last ? 2 : 3, tag);
      if (i % 4 === 1 || i % 4 === 2) assert.is(inside.length, 1, tag);
      if (i % 4 === 2 && attempt === last) {
        const inner = named(`invoke_workflow inner ${tag}`);
        assert.is(parentOf(inner), idOf(own));
        assert.is(
          parentOf(named(`leaf ${tag}`)),
          idOf(
            spans().find(
              (span) =>
                span.name === 'invoke_agent leaf' &&
                span.spanContext().traceId === idOf2(run) &&
                ancestors(span).includes(idOf(inner)),
            ) as ReadableSpan,
          ),
        );
      }
    }
    if (i % 4 === 3) {
      const child = named(`task child_${i}`);
      assert.is(parentOf(child), idOf(attemptOf(i, last)));
      assert.is(parentOf(named(`child call ${i}`)), idOf(named(`invoke_agent child_${i}`)));
    }
  }
  assert.is(new Set(spans().map((span) => span.spanContext().traceId)).size, 1);
});

const idOf2 = (span: ReadableSpan): string => span.spanContext().traceId;

function ancestors(span: ReadableSpan): string[] {
  const found: string[] = [];
  for (let at: ReadableSpan | undefined = span; at !== undefined; ) {
    const up: string | undefined = parentOf(at);
    if (up !== undefined) found.push(up);
    at = spans().find((one) => idOf(one) === up);
  }
  return found;
}

test('a stopped attempt ends its span; conventions only when asked for; a carrier crosses processes', async () => {
  const flow = workflow({ name: 'stopped', middleware: [tracing({ tracer, genAi: '1.37' })] });
  let carrier: Record<string, string> = {};
  flow.task('slow', {
    timeout: 5,
    run: async (_, ctx) => {
      carrier = ctx.carrier;
      await new Promise(() => undefined);
    },
  });
  await flow.run().result();
  const attempt = named('invoke_agent slow');
  assert.is(attempt.attributes['error.type'], 'TASK_TIMEOUT');
  assert.is(attempt.attributes['gen_ai.operation.name'], 'invoke_agent');
  assert.is(named('invoke_workflow stopped').attributes['gen_ai.operation.name'], 'invoke_workflow');
  withCarrier(carrier, () => tracer.startSpan('elsewhere').end());
  assert.is(parentOf(named('elsewhere')), idOf(attempt));
  assert.throws(() => tracing({ genAi: '2' as never }), /genAi is "2"/);
});

test('a span carries what its attempt has used, and the model', async () => {
  const flow = workflow({ name: 'used', middleware: [tracing({ tracer, genAi: '1.37' })] });
  flow.task('ask', {
    retry: { count: 1, backoff: () => 0 },
    run: async (_, ctx) => {
      ctx.usage({ model: `m${ctx.attempt}`, inputTokens: 10 * ctx.attempt, outputTokens: 1 });
      await Promise.resolve();
      ctx.usage({ inputTokens: 5 });
      if (ctx.attempt === 1) throw new Error('again');
      return 1;
    },
  });
  flow.task('none', { run: () => 1 });
  await flow.run().result();
  const keys = ['usage.input_tokens', 'usage.output_tokens', 'request.model', 'response.model'];
  const used = spans()
    .filter(({ name }) => name === 'invoke_agent ask')
    .map(({ attributes }) => keys.map((key) => attributes[`gen_ai.${key}`]));
  assert.equal(used, [
    [15, 1, 'm1', 'm1'],
    [25, 1, 'm2', 'm2'],
  ]);
  assert.is(named('invoke_agent none').attributes['gen_ai.usage.input_tokens'], undefined);
});

test('middleware: the first is outermost, run before workflow; it may change inputs and results, or skip the body', async () => {
  const said: string[] = [];
  const loud = (name: string): Middleware => ({
    run: () => {
      said.push(`${name} run`);
      return ({ status }) => said.push(`${name} run ${status}`);
    },
    task: ({ taskId }) => {
      said.push(`${name} ${taskId}`);
      return ({ status }) => said.push(`${name} ${taskId} ${status}`);
    },
    attempt: ({ taskId, attempt }, next) => {
      said.push(`${name} ${taskId} ${attempt}`);
      return next();
    },
  });
  const guard: Middleware = {
    attempt: ({ taskId, inputs }, next) => {
      if (taskId === 'refused') throw new Error('not allowed');
      if (taskId === 'skipped') return 'from the guard';
      if (taskId === 'b') return (next({ ...(inputs as object), a: 10 }) as number) * 2;
      return next();
    },
  };
  const flow = workflow({ name: 'middle', concurrency: 1, middleware: [loud('inner'), guard] });
  const a = flow.task('a', {
    retry: { count: 1, backoff: () => 0 },
    run: (_, ctx) => (ctx.attempt === 1 ? Promise.reject(new Error('once')) : 1),
  });
  const b = flow.task('b', { dependencies: { a }, run: ({ a }) => a + 1 });
  const skipped = flow.task('skipped', { run: () => assert.unreachable() });
  flow.task('refused', { run: () => 1 });
  const result = await flow.run({ middleware: [loud('outer')] }).result();
  assert.is(result.results.get(b), 22);
  assert.is(result.results.get(skipped), 'from the guard');
  assert.match(String(result.tasks.get('refused')?.error), 'not allowed');
  assert.equal(
    said.filter((line) => / a( |$)/.test(line)),
    [
      'outer a',
      'inner a',
      'outer a 1',
      'inner a 1',
      'outer a 2',
      'inner a 2',
      'inner a succeeded',
      'outer a succeeded',
    ],
  );
  assert.equal(said.slice(0, 2), ['outer run', 'inner run']);
  assert.equal(said.slice(-2), ['inner run partial', 'outer run partial']);
});

test('middleware of an orchestrator stands around its tasks, also around added ones; that of a call outside of it', async () => {
  const said: string[] = [];
  const loud = (name: string): Middleware => ({
    run:
      () =>
      ({ status }) =>
        said.push(`${name} run ${status}`),
    task: ({ taskId, type }) => {
      said.push(`${name} ${taskId} (${type})`);
      return undefined;
    },
    attempt: ({ taskId }, next) => (taskId === 'b' ? `${name} ${next()}` : next()),
  });
  const orchestrator = new WorkflowOrchestrator({
    agents: { work: ({ id }: { id: string }) => id },
    maxConcurrentTasks: 1,
    middleware: [loud('inner')],
  });
  orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'work' }));
  orchestrator.onTaskComplete('a', (_, add) => add(new AgentTask({ id: 'b', agentType: 'work' })));
  const { results } = await orchestrator.executeWorkflow({ middleware: [loud('outer')] });
  assert.is(results.get('b'), 'outer inner b');
  assert.equal(said, [
    'outer a (work)',
    'inner a (work)',
    'outer b (work)',
    'inner b (work)',
    'inner run succeeded',
    'outer run succeeded',
  ]);
});

test('middleware hears when an attempt is ended from outside, once, and not when it ends by itself', async () => {
  const said: string[] = [];
  const flow = workflow({
    name: 'stopped',
    middleware: [
      {
        attempt: ({ taskId, attempt, onStop }, next) => {
          onStop((reason) => {
            said.push(`${taskId} ${attempt} ${(reason as { code: string }).code}`);
            throw new Error('listener');
          });
          return next();
        },
      },
    ],
  });
  flow.task('late', {
    timeout: 1,
    retry: { count: 1, backoff: () => 0 },
    run: () => new Promise(() => undefined),
  });
  flow.task('itself', { run: () => 1 });
  flow.task('fails', { run: () => Promise.reject(new Error('no')) });
  const result = await flow.run().result();
  assert.equal(said, ['late 1 TASK_TIMEOUT', 'late 2 TASK_TIMEOUT']);
  assert.is(result.report.subscriberErrors.length, 2);
});

test('tracing without a provider makes nothing for each task', async () => {
  const quiet = tracing();
  assert.is(quiet.run?.({ runId: 'r', workflow: 'w' }), undefined);
  // A trace that comes from above goes on, provider or not.
  const above = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 };
  const flow = workflow({ name: 'below', middleware: [quiet] });
  let found: SpanContext | undefined;
  flow.task('a', { run: async () => (found = trace.getSpanContext(context.active())) });
  const result = context.with(trace.setSpanContext(context.active(), above), () => flow.run().result());
  await result;
  assert.is(found?.traceId, above.traceId);
});

test('what hooks throw at the end of runs and tasks harms nobody', async () => {
  const bad = (): never => {
    throw new Error('hook');
  };
  const flow = workflow({
    name: 'bad',
    middleware: [{ task: () => bad, run: () => bad }],
  });
  flow.task('a', { run: () => 1 });
  const result = await flow.run().result();
  assert.is(result.status, 'succeeded');
  assert.is(result.report.subscriberErrors.length, 2);
});

test('metrics tell what the report tells, to Prometheus and to OpenTelemetry', async () => {
  const scheduler = new SimulationScheduler();
  const run = showcase({ scheduler });
  const prom = prometheus();
  const memory = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: memory, exportIntervalMillis: 1_000_000 });
  const meters = new MeterProvider({ readers: [reader] });
  run.events$.pipe(prom.measure, meter(meters.getMeter('spec'))).subscribe();
  const done = run.result();
  await advance(scheduler);
  const result = await done;
  const text = await prom.text();
  const value = (line: string): number => {
    const found = text.split('\n').find((one) => one.startsWith(`rxhive_${line}`));
    assert.ok(found !== undefined, line);
    return Number(found.split(' ').at(-1));
  };
  assert.is(value('tasks_total{workflow="showcase",type="fetch",status="succeeded"}'), 239);
  assert.is(value('tasks_total{workflow="showcase",type="fetch",status="failed"}'), 1);
  assert.is(value('attempts_total{workflow="showcase",type="fetch",outcome="failed"}'), 9);
  assert.is(value('refusals_total{workflow="showcase",group="web"}'), 6);
  assert.is(value('limit{workflow="showcase",group="llm"}'), 6);
  assert.is(value('active{workflow="showcase",group=""}'), 0);
  const tokens = [...result.tasks.values()].reduce((sum, { usage }) => sum + usage.inputTokens, 0);
  assert.is(value('tokens_total{workflow="showcase",model="",direction="input"}'), tokens);
  for (const cause of ['dependencies', 'slot', 'permit', 'backoff'] as const) {
    const waited = [...result.tasks.values()].reduce((sum, { waits }) => sum + waits[cause], 0) / 1_000;
    const told = waited === 0 ? 0 : value(`wait_seconds_total{workflow="showcase",cause="${cause}"}`);
    assert.ok(Math.abs(told - waited) < 0.01, `${cause}: ${told}, ${waited}`);
  }
  assert.match(text, 'nodejs_eventloop_lag_seconds');
  await reader.forceFlush();
  const found = memory.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((one) => one.metrics));
  const ended = found.find(({ descriptor }) => descriptor.name === 'rxhive.tasks');
  assert.is(
    ended?.dataPoints.reduce((sum, point) => sum + Number(point.value), 0),
    499,
  );
  await meters.shutdown();
  assert.ok(trace.getTracer('rxhive') !== undefined);
});

test('gauges and counters are there when they are asked for, while the run goes on', async () => {
  const prom = prometheus({ process: false });
  const memory = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: memory, exportIntervalMillis: 1_000_000 });
  const meters = new MeterProvider({ readers: [reader] });
  const source = meters.getMeter('spec');
  let asked = 0;
  const counting = Object.assign(Object.create(source) as typeof source, {
    addBatchObservableCallback: (...args: Parameters<typeof source.addBatchObservableCallback>) => {
      asked += 1;
      source.addBatchObservableCallback(...args);
    },
    removeBatchObservableCallback: (...args: Parameters<typeof source.removeBatchObservableCallback>) => {
      asked -= 1;
      source.removeBatchObservableCallback(...args);
    },
  });
  const watched: string[][] = [];
  const look = async (): Promise<void> => {
    memory.reset();
    await reader.forceFlush();
    const found = memory
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((one) => one.metrics));
    const lines = found
      .filter(({ descriptor }) => /active|tasks/.test(descriptor.name))
      .flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => `${descriptor.name} ${Object.values(attributes)} ${value}`),
      );
    watched.push(lines.sort());
  };
  const runs: Promise<unknown>[] = [];
  let ended = (): void => undefined;
  for (const name of ['one', 'two']) {
    const flow = workflow({ name: 'same', groups: { g: {} } });
    flow.task('first', { type: 'step', run: () => 1 });
    flow.task('held', {
      type: 'step',
      group: 'g',
      run: () => new Promise<void>((done) => (ended = both(ended, done))),
    });
    const run = flow.run({ runId: name });
    // A meter for each run: counters add up, the newest gauge is told.
    run.events$.pipe(prom.measure, meter(counting)).subscribe();
    runs.push(run.result());
  }
  await look();
  const active = prom.registry.getSingleMetric('rxhive_active');
  assert.equal(
    (await active?.get())?.values.map(({ labels, value }) => [labels.group, value]),
    [
      ['', 2],
      ['g', 2],
    ],
  );
  assert.match(await prom.text(), 'rxhive_tasks_total{workflow="same",type="step",status="succeeded"} 2\n');
  ended();
  await Promise.all(runs);
  await look();
  await look();
  assert.equal(watched, [
    ['rxhive.active same, 1', 'rxhive.active same,g 1', 'rxhive.tasks same,step,succeeded 2'],
    ['rxhive.active same, 0', 'rxhive.active same,g 0', 'rxhive.tasks same,step,succeeded 4'],
    // The last word stays, and nobody is asked any more.
    ['rxhive.active same, 0', 'rxhive.active same,g 0', 'rxhive.tasks same,step,succeeded 4'],
  ]);
  assert.equal(asked, 0);
  assert.match(await prom.text(), 'rxhive_tasks_total{workflow="same",type="step",status="succeeded"} 4\n');
  await meters.shutdown();
});

function both(one: () => void, other: () => void): () => void {
  return () => {
    one();
    other();
  };
}

test.run();
