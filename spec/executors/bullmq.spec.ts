import type { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bullmq,
  createWorker,
  type Remote,
  type RxWorker,
  type WorkerContext,
} from '../../lib/executors/bullmq.js';
import { QueueServer } from '../../lib/executors/bullmq-connection.js';
import { workQueue } from '../../lib/executors/bullmq-queues.js';
import { BullmqTransport } from '../../lib/executors/bullmq-transport.js';
import {
  AgentTask,
  exponential,
  memory,
  settled,
  type Workflow,
  WorkflowOrchestrator,
  workflow,
} from '../../lib/index.js';
import type { Order } from '../../lib/model/wire.js';
import { begunFile, freshName, queueServers, workerProcess } from '../support/queue-servers.js';
import { agents } from '../support/worker-agents.js';

const servers = await queueServers();
const closing: (() => Promise<unknown>)[] = [];
// After each test: workers and remotes hold about ten connections each, and PostgreSQL takes 100 in all.
test.after.each(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
const codeOf = (error: unknown): string | undefined => (error as { code?: string } | undefined)?.code;

/** Resolves when it holds; polled, for what happens in other processes. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 10));
}

test('wrong options are refused before anything is connected', async () => {
  const connection = { redis: 'redis://127.0.0.1:1' };
  for (const wrong of [
    { connection: {} },
    { connection: { redis: 'http://x' } },
    { connection: { redis: 'redis://a', postgres: 'postgres://a' } },
    { connection, name: 'a:b' },
    { connection, lostAfter: 10 },
    { connection, inline: -1 },
    { connection, slots: 0 },
  ])
    assert.throws(
      () => bullmq(wrong as never),
      (error: unknown) => codeOf(error) === 'INVALID_OPTION',
    );
  for (const wrong of [
    { agents: {} },
    { agents, concurrency: 0 },
    { agents, labels: 'gpu' },
    { agents, version: '' },
  ])
    assert.is(
      await createWorker({ connection, ...wrong } as never).then(() => undefined, codeOf),
      'INVALID_OPTION',
    );
});

test('a server that is not there is one error, without the password', async () => {
  const started = createWorker({ agents, connection: { postgres: 'postgres://me:s3cret@127.0.0.1:1/none' } });
  const error = await started.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  assert.is(codeOf(error), 'QUEUE_FAILED');
  assert.match(String(error), 'ECONNREFUSED');
  assert.not.match(String(error), 's3cret');
});

/** A worker in a process of its own, that ends with the test. */
async function startProcess(...given: Parameters<typeof workerProcess>): Promise<void> {
  const worker = await workerProcess(...given);
  closing.push(() => worker.kill());
}

const { RXHIVE_REDIS } = process.env;
if (RXHIVE_REDIS !== undefined)
  test('Redis: a controller whose password was refused works once the server takes it', async () => {
    const [user, password, name] = [freshName(), freshName(), freshName()];
    const address = new URL(RXHIVE_REDIS);
    address.username = user;
    address.password = password;
    const remote = bullmq({ connection: { redis: address.href }, name, slots: 1, onError: () => undefined });
    const admin = new Redis(RXHIVE_REDIS);
    closing.push(
      async () => {
        await admin.call('ACL', 'DELUSER', user);
        admin.disconnect();
      },
      () => remote.close(),
    );
    const flow = workflow({ name: 'refused' });
    const n = flow.task('n', { run: () => 21 });
    const task = flow.task('double', {
      dependencies: { n },
      executor: remote.agents<typeof agents>().double,
    });
    assert.is(codeOf((await flow.run().result()).tasks.get(task)?.error), 'QUEUE_FAILED');
    await admin.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '&*', '+@all');
    const worker = await createWorker({ agents, connection: { redis: RXHIVE_REDIS }, name });
    closing.push(() => worker.close());
    assert.is((await flow.run().result()).results.get(task), 42);
  });

for (const { title, connection } of servers) {
  const make = async (
    more: { readonly worker?: object; readonly remote?: object } = {},
  ): Promise<{ readonly remote: Remote; readonly worker: RxWorker; readonly name: string }> => {
    const name = freshName();
    const worker = await createWorker({ agents, connection, name, ...more.worker });
    const remote = bullmq({ connection, name, ...more.remote });
    closing.push(
      () => worker.close(),
      () => remote.close(),
    );
    return { remote, worker, name };
  };

  test(`${title}: results, values, usage, log and errors come back`, async () => {
    const { remote } = await make();
    const on = remote.agents<typeof agents>();
    const flow = workflow({ name: 'remote' });
    const n = flow.task('n', { run: () => 21 });
    const status = flow.task('status', { run: () => 503 });
    const double = flow.task('double', { dependencies: { n }, executor: on.double });
    const count = flow.task('count', { dependencies: { to: n }, executor: on.count });
    const facts = flow.task('facts', { executor: on.facts });
    const fails = flow.task('fails', {
      dependencies: { status },
      executor: on.fails,
      retry: { count: 1, backoff: exponential({ initial: 1 }) },
      tolerate: true,
    });
    const tooMuch = flow.task('tooMuch', { executor: on.tooMuch });
    const run = flow.run({ runId: freshName() });
    const values: unknown[] = [];
    run.values$(count).subscribe((value) => values.push(value));
    const { results, tasks } = await run.result();
    assert.is(results.get(double) satisfies number | undefined, 42);
    assert.equal(
      values,
      [...Array(21).keys()].map((i) => i + 1),
    );
    assert.is(tasks.get(count)?.usage.inputTokens, 3);
    const { at, set, attempt } = results.get(facts) as { at: Date; set: Set<bigint>; attempt: number };
    assert.equal([at, set, attempt], [new Date(0), new Set([1n]), 1]);
    assert.is(tasks.get(fails)?.attempts.length, 2);
    assert.is((tasks.get(fails)?.error as { status?: number } | undefined)?.status, 503);
    assert.match(String(tasks.get(tooMuch)?.error), 'let a task that depends on this one write it');
  });

  test(`${title}: a timeout and a cancel end the attempt in the worker`, async () => {
    const { remote, worker } = await make();
    const { slow } = remote.agents<typeof agents>();
    const flow = workflow({ name: 'ended' });
    const ms = flow.task('ms', { run: () => 60_000 });
    const late = flow.task('late', { dependencies: { ms }, executor: slow, timeout: 100 });
    let isLate = false;
    flow.task('after', {
      dependencies: [settled(late)],
      run: () => {
        isLate = true;
      },
    });
    const cancelled = flow.task('cancelled', { dependencies: { ms }, executor: slow });
    const run = flow.run();
    const ended = run.result();
    await until(() => isLate && worker.active === 1);
    run.cancel();
    const { tasks } = await ended;
    assert.is(codeOf(tasks.get('late')?.error), 'TASK_TIMEOUT');
    assert.is(tasks.get(cancelled)?.status, 'cancelled');
    await until(() => worker.active === 0);
  });

  test(`${title}: an agent nobody has, labels and versions`, async () => {
    const { remote, name } = await make();
    const other = await createWorker({
      agents: { where: () => 'gpu 2' },
      connection,
      name,
      labels: ['gpu'],
      version: '2',
    });
    closing.push(() => other.close());
    const flow = workflow({ name: 'labels' });
    const none = flow.task('none', { executor: remote.agent('where') });
    const gpu = flow.task('gpu', { executor: remote.agent('where', { labels: ['gpu'], version: '2' }) });
    const { tasks, results } = await flow.run().result();
    assert.is(codeOf(tasks.get(none)?.error), 'UNKNOWN_AGENT');
    assert.is(results.get(gpu), 'gpu 2');
  });

  test(`${title}: large values wait in a store`, async () => {
    const store = memory();
    const { remote } = await make({ worker: { store, inline: 100 }, remote: { store, inline: 100 } });
    const { large } = remote.agents<typeof agents>();
    const flow = workflow({ name: 'large' });
    const size = flow.task('size', { run: () => 300_000 });
    const made = flow.task('made', { dependencies: { size }, executor: large });
    const { results } = await flow.run().result();
    assert.is(results.get(made)?.length, 300_000);
  });

  test(`${title}: orders wait by priority, however great it is`, async () => {
    const name = freshName();
    const where = { labels: [], version: '1' };
    const transport = new BullmqTransport(new QueueServer(connection), name, 5_000);
    closing.push(() => transport.close());
    const priorities = [0, -1, -1e9, 1 / 16, 7, 1e9, Number.MAX_VALUE, 0];
    for (const [n, priority] of priorities.entries()) {
      const facts = { taskId: String(priority), runId: 'r', attempt: 1, idempotencyKey: '', carrier: {} };
      const order: Order = { v: 1, agent: 'told', facts, inputs: { text: 'null' }, token: `${n}`, to: 'c' };
      await transport.add(`a${n}`, order, { ...where, priority, again: false });
    }
    const order: string[] = [];
    const told = (_: unknown, { taskId }: WorkerContext) => order.push(taskId);
    const worker = await createWorker({ agents: { told }, connection, name, concurrency: 1 });
    closing.push(() => worker.close());
    await until(() => order.length === priorities.length);
    const most = [String(1e9), String(Number.MAX_VALUE)];
    assert.equal(order, [...most, '7', '0.0625', '0', '0', '-1', String(-1e9)]);
  });

  test(`${title}: an order that waits goes where the priority of its task is now`, async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((done) => {
      release = done;
    });
    const begun: string[] = [];
    const told = async (_: unknown, { taskId }: WorkerContext) => {
      begun.push(taskId);
      await held;
    };
    const { remote, name } = await make({
      worker: { agents: { told }, concurrency: 1 },
      remote: { ahead: 9 },
    });
    const flow = workflow({ name: 'order' });
    flow.task('first', { executor: remote.agent('told') });
    const busy = flow.task('busy', { run: () => until(() => begun.length === 1) });
    for (const id of ['a', 'b', 'c', 'd'])
      flow.task(id, { dependencies: [busy], executor: remote.agent('told') });
    const server = new QueueServer(connection);
    closing.push(() => server.close());
    await server.ready();
    const queue = server.queue<Order>(workQueue(name, { labels: [], version: '1' })) as unknown as Queue;
    const waiting = async (): Promise<string> => {
      const jobs = await queue.getJobs(['prioritized'], 0, -1, true);
      return jobs.map(({ data }) => data.facts.taskId).join('');
    };
    const run = flow.run();
    const ended = run.result();

    await until(async () => (await waiting()).length === 4);
    run.setPriority('c', 2);
    run.setPriority('a', -1);
    run.setPriority('d', 1);
    run.setPriority('first', 7);
    await until(async () => (await waiting()) === 'cdba');
    release();
    assert.is((await ended).status, 'succeeded');
    assert.equal(begun, ['first', 'c', 'd', 'b', 'a']);
  });

  test(`${title}: agents of an orchestrator, by one line`, async () => {
    const { remote } = await make();
    const orchestrator = new WorkflowOrchestrator({
      agents: remote.agents<{ double: (task: { data: unknown }) => unknown }>(),
    });
    const flow = orchestrator as unknown as WorkflowOrchestrator<Record<string, never>>;
    flow.addTask(new AgentTask({ id: 'a', agentType: 'facts', data: { n: 2 } }) as never);
    const { status } = await flow.executeWorkflow();
    assert.is(status, 'succeeded');
  });

  test(`${title}: a worker that drains takes nothing new, ends its work, and tells its health`, async () => {
    let release = (): void => undefined;
    const held = new Promise<string>((done) => {
      release = () => done('held');
    });
    const { worker, remote } = await make({
      worker: { agents: { held: () => held }, health: { port: 0 } },
    });
    const get = async (path: string): Promise<string> => {
      const answer = await fetch(`${worker.health}${path}`);
      return `${answer.status} ${await answer.text()}`;
    };
    assert.match(await get('/livez'), '200');
    assert.match(await get('/readyz'), '200');
    const flow = workflow({ name: 'drained' });
    const last = flow.task('last', { executor: remote.agent('held') });
    const ended = flow.run().result();
    await until(() => worker.active === 1);
    assert.match(await get('/metrics'), 'rxhive_worker_active 1');
    const drained = worker.drain();
    assert.match(await get('/readyz'), '503');
    release();
    assert.is((await ended).results.get(last), 'held');
    await drained;
  });

  test(`${title}: a run of an id that was there before, without its log, has jobs of its own`, async () => {
    const name = freshName();
    let calls = 0;
    const hold = new Promise<void>(() => undefined);
    const own = {
      count: async () => ++calls,
      // The first one is under way when the second run begins.
      busy: async () => (++calls === 2 ? hold : calls),
    };
    const worker = await createWorker({ agents: own, connection, name, drain: 0 });
    closing.push(() => worker.close());
    const runId = freshName();
    const live = async (agent: 'count' | 'busy'): Promise<() => Promise<unknown>> => {
      const remote = bullmq({ connection, name });
      closing.push(() => remote.close());
      const flow = workflow({ name: 'lives' });
      const task = flow.task(agent, { executor: remote.agents<typeof own>()[agent] });
      const ended = flow.run({ runId }).result();
      return async () => (await ended).results.get(task);
    };
    assert.is(await (await live('count'))(), 1);
    await live('busy');
    await until(() => calls === 2);
    assert.is(await (await live('count'))(), 3);
    assert.is(await (await live('busy'))(), 4);
  });

  test(`${title}: what a killed worker had runs again elsewhere; a task that kills its workers ends`, async () => {
    const name = freshName();
    const begun = begunFile();
    const settings = { connection, name, lostAfter: 2_000, concurrency: 4 };
    await Promise.all([1, 2, 3, 4].map(() => startProcess(settings, begun.file)));
    const remote = bullmq({ connection, name, lostAfter: 2_000 });
    closing.push(() => remote.close());
    const on = remote.agents<typeof agents>();
    const flow = workflow({ name: 'killed' });
    const poison = flow.task('poison', { executor: on.poison, retry: { count: 0, lost: 2 }, tolerate: true });
    const ms = flow.task('ms', { run: () => 200 });
    const slow = flow.task('slow', { dependencies: { ms }, executor: on.slow });
    const { tasks, results } = await flow.run({ runId: freshName() }).result();
    assert.is(codeOf(tasks.get(poison)?.error), 'WORKER_LOST');
    assert.is(begun.read().filter(([task]) => task === 'poison').length, 2);
    assert.type(results.get(slow), 'number');
  });

  test(`${title}: a stopped worker loses its attempt, and ends it when it goes on`, async () => {
    const name = freshName();
    const begun = begunFile();
    const settings = { connection, name, lostAfter: 1_000, concurrency: 1 };
    const stopped = await workerProcess(settings, begun.file);
    closing.push(() => stopped.kill());
    const remote = bullmq({ connection, name, lostAfter: 1_000 });
    closing.push(() => remote.close());
    const flow = workflow({ name: 'stopped' });
    const task = flow.task('a', { executor: remote.agents<typeof agents>().watched });
    const run = flow.run({ runId: freshName() });
    const values: unknown[] = [];
    const codes: unknown[] = [];
    run.events$.subscribe((event) => {
      if (event.type === 'value' && values.push(event.value) === 1) stopped.process.kill('SIGSTOP');
      if (event.type !== 'attempt') return;
      if (event.reason === 'failed') codes.push(codeOf(event.error));
      if (event.reason === 'begun' && event.attempt === 2) stopped.process.kill('SIGCONT');
    });
    const ended = run.result();
    await until(() => values.length > 0);
    await startProcess(settings, begun.file);
    const { results, tasks } = await ended;
    assert.is(results.get(task), 100);
    assert.equal(codes, ['WORKER_LOST']);
    assert.is(tasks.get(task)?.attempts.length, 2);
    const again = values.lastIndexOf(1);
    const all = Array.from({ length: 100 }, (_, i) => i + 1);
    assert.equal(values.slice(again), all, 'nothing of the first attempt is among the values of the second');
    const first = ['a', '1', `${stopped.facts.pid}`];
    await until(() => begun.read().length === 3 && (remote.metrics().rxhive_remote_late_total ?? 0) > 0);
    const [one, two, end] = begun.read();
    assert.equal([one, two?.slice(0, 2), end], [first, ['a', '2'], [...first, 'stopped']]);
    await stopped.kill('SIGTERM');
    assert.equal(
      begun.trouble(),
      [],
      'the job was of another worker by then: nothing was wrong with the server',
    );
  });

  test(`${title}: an agent that computes for longer than its lock is begun once`, async () => {
    const name = freshName();
    const begun = begunFile();
    await startProcess({ connection, name, lostAfter: 1_000 }, begun.file);
    const remote = bullmq({ connection, name, lostAfter: 1_000 });
    closing.push(() => remote.close());
    const { hog } = remote.agents<typeof agents>();
    const flow = workflow({ name: 'computes' });
    const ms = flow.task('ms', { run: () => 4_000 });
    const done = flow.task('done', { dependencies: { ms }, executor: hog });
    const { results } = await flow.run({ runId: freshName() }).result();
    assert.is(results.get(done), 'computed');
    assert.is(begun.read().length, 1);
  });

  test(`${title}: a run that goes on takes up the attempts that are under way`, async () => {
    const { remote: first, name } = await make();
    const begun = begunFile();
    process.env.BEGUN_FILE = begun.file;
    const store = memory();
    const runId = freshName();
    const define = (remote: Remote): Workflow => {
      const on = remote.agents<typeof agents>();
      const flow = workflow({ name: 'goes on' });
      const ms = flow.task('ms', { run: () => 1_500 });
      flow.task('slow', { dependencies: { ms }, executor: on.slow });
      const to = flow.task('to', { run: () => 15 });
      const pause = flow.task('pause', { run: () => 100 });
      flow.task('count', { dependencies: { to, pause }, executor: on.count });
      return flow as unknown as Workflow;
    };
    const run = define(first).run({ store, runId });
    run.result().catch(() => undefined);
    await until(() => begun.read().length === 2);
    await new Promise((done) => setTimeout(done, 300)); // what has begun is noted after 100 ms
    const crashed = memory(store.dump());
    await first.close();
    const second = bullmq({ connection, name });
    closing.push(() => second.close());
    const resumed = define(second).run({ store: crashed, runId });
    const values: unknown[] = [];
    resumed.events$.subscribe((event) => {
      if (event.type === 'value' && event.taskId === 'count') values.push(event.value);
    });
    const { status, results } = await resumed.result();
    delete process.env.BEGUN_FILE;
    assert.is(status, 'succeeded');
    assert.is(results.get('count' as never), 15);
    assert.equal(
      values,
      [...Array(15).keys()].map((i) => i + 1),
    );
    assert.is(begun.read().length, 2);
  });
}

test.run();
