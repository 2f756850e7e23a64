import fc from 'fast-check';
import pg from 'pg';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bullmq,
  createWorker,
  type QueueConnection,
  type Remote,
  type WorkerContext,
} from '../../lib/executors/bullmq.js';
import type { PostgresBackend } from '../../lib/executors/bullmq-classes.js';
import { QueueServer } from '../../lib/executors/bullmq-connection.js';
import { type Task, workflow } from '../../lib/index.js';
import { LossyProxy } from '../support/lossy-proxy.js';
import { freshName, queueServers } from '../support/queue-servers.js';

// Servers that go away while they are used, behind a proxy that cuts connections.

const closing: (() => unknown)[] = [];
test.after.each(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Resolves when it holds; polled, for what happens in other processes. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 10));
}

async function behindProxy(connection: QueueConnection): Promise<[LossyProxy, QueueConnection]> {
  const url = new URL((connection.redis ?? connection.postgres) as string);
  const proxy = new LossyProxy(Number(url.port || (connection.redis ? 6379 : 5432)), url.hostname);
  url.hostname = '127.0.0.1';
  url.port = String(await proxy.listen());
  closing.push(() => proxy.close());
  return [proxy, connection.redis === undefined ? { postgres: url.href } : { redis: url.href }];
}

interface Setup {
  readonly proxy: LossyProxy;
  readonly remote: Remote;
  readonly name: string;
  /** Codes and texts that `onError` of the controller was told. */
  readonly told: string[];
  /** Attempts that have begun, as `task#attempt`. */
  readonly begun: string[];
  /** Lets the attempts of `held` end. */
  readonly release: () => void;
  /** Starts the worker, which is behind the proxy, too. */
  readonly work: () => Promise<void>;
}

async function make(connection: QueueConnection, lostAfter = 5_000): Promise<Setup> {
  const [proxy, through] = await behindProxy(connection);
  const name = freshName();
  const told: string[] = [];
  const begun: string[] = [];
  let release = (): void => undefined;
  const held = new Promise<void>((done) => {
    release = done;
  });
  const note = ({ taskId, attempt }: WorkerContext) => begun.push(`${taskId}#${attempt}`);
  const agents = {
    async held(_: unknown, ctx: WorkerContext) {
      note(ctx);
      await held;
      return 'held';
    },
    double({ n }: { readonly n: number }, ctx: WorkerContext) {
      note(ctx);
      return n * 2;
    },
  };
  const settings = { connection: through, name, lostAfter };
  const remote = bullmq({ ...settings, onError: ({ message }) => told.push(message) });
  closing.push(() => remote.close());
  const work = async (): Promise<void> => {
    const worker = await createWorker({ ...settings, agents, onError: () => undefined });
    closing.splice(-1, 0, () => worker.close());
  };
  return { proxy, remote, name, told, begun, release, work };
}

for (const { title, connection } of await queueServers()) {
  test(`${title}: while it is away nothing begins and nothing fails, and what was done meanwhile counts`, async () => {
    const { proxy, remote, name, told, begun, release, work } = await make(connection);
    await work();
    const flow = workflow({ name: 'away' });
    const held: Task<string> = flow.task('held', { executor: remote.agent('held') });
    let go = (): void => undefined;
    const gone = new Promise<void>((done) => {
      go = done;
    });
    const n = flow.task('n', { run: () => gone.then(() => 21) });
    const next = flow.task('next', { dependencies: { n }, executor: remote.agent('double') });
    const run = flow.run();
    const ended = run.result();
    await until(() => begun.length === 1);
    proxy.away = true;
    await until(() => remote.metrics()[`rxhive_place_slots{place="workers of ${name}"}`] === 0);
    assert.is(told.length, 1);
    go();
    const waits = /has been ready for .* who cannot be reached: The queues in \w+ cannot be used: /;
    await until(() => waits.test(run.explain('next')));
    release();
    await Promise.resolve();
    proxy.away = false;
    const { status, results } = await ended;
    assert.is(status, 'succeeded');
    assert.is(results.get(held), 'held');
    assert.is(results.get(next), 42);
    // On Redis the lock may run out, and the attempt runs again.
    if (title === 'PostgreSQL') assert.equal(begun, ['held#1', 'next#1']);
  });

  test(`${title}: one that says nothing for longer than 5 s is waited for`, async () => {
    const { proxy, remote, told, begun, work } = await make(connection, 60_000);
    await work();
    const flow = workflow({ name: 'silent' });
    const first = flow.task('first', { run: () => 1 });
    const n = flow.task('n', { dependencies: { n: first }, executor: remote.agent('double') });
    const next = flow.task('next', { dependencies: { n }, executor: remote.agent('double') });
    const run = flow.run();
    run.events$.subscribe((event) => {
      if (event.type === 'task' && event.taskId === 'n' && event.reason === 'succeeded') proxy.silent = true;
    });
    const ended = run.result();
    await until(() => told.length > 0);
    assert.match(told[0] as string, 'no answer in 5000 ms');
    proxy.silent = false;
    assert.is((await ended).results.get(next), 4);
    assert.equal(begun, ['n#1', 'next#1']);
  });

  test(`${title}: a controller that was there before it works once it is there`, async () => {
    const { proxy, remote, told, work } = await make(connection);
    proxy.away = true;
    const flow = workflow({ name: 'early' });
    const n = flow.task('n', { run: () => 21 });
    const next = flow.task('next', { dependencies: { n }, executor: remote.agent('double') });
    const ended = flow.run().result();
    await until(() => told.length > 0);
    proxy.away = false;
    await work();
    assert.is((await ended).results.get(next), 42);
  });

  test(`${title}: wherever connections are cut, each task ends as if they were not`, async () => {
    const { proxy, remote, begun, work } = await make(connection, 1_000);
    await work();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 6 }), async (gaps) => {
        begun.length = 0;
        const flow = workflow({ name: 'cut' });
        const tasks = Array.from({ length: 12 }, (_, i) => {
          const n = flow.task(`n${i}`, { run: () => i });
          const once = flow.task(`d${i}`, { dependencies: { n }, executor: remote.agent('double') });
          return flow.task(`e${i}`, { dependencies: { n: once }, executor: remote.agent('double') });
        });
        const left = [...gaps];
        proxy.losesAfter = left.shift() ?? Number.POSITIVE_INFINITY;
        const lost = proxy.lost;
        const cuts = setInterval(() => {
          if (proxy.losesAfter === Number.POSITIVE_INFINITY)
            proxy.losesAfter = left.shift() ?? Number.POSITIVE_INFINITY;
        }, 5);
        const { status, results } = await flow.run({ runId: freshName() }).result();
        clearInterval(cuts);
        proxy.losesAfter = Number.POSITIVE_INFINITY;
        assert.is(status, 'succeeded', `${proxy.lost - lost} cuts`);
        assert.equal(
          tasks.map((task) => results.get(task)),
          tasks.map((_, i) => i * 4),
        );
        assert.is(new Set(begun).size, begun.length, 'no attempt begins twice');
      }),
      { numRuns: 15 },
    );
  });
}

const { RXHIVE_POSTGRES } = process.env;
if (RXHIVE_POSTGRES !== undefined) {
  test('PostgreSQL: an attempt goes on over an outage that is longer than its lock', async () => {
    const { proxy, remote, name, begun, release, work } = await make({ postgres: RXHIVE_POSTGRES }, 1_000);
    await work();
    const admin = new pg.Pool({ connectionString: RXHIVE_POSTGRES, max: 1 });
    closing.push(() => admin.end());
    const isLocked = async (): Promise<boolean> => {
      const { rows } = await admin.query(
        "select locked_until_ms > $2 as locked from bullmq.job where queue like $1 and state = 'active'",
        [`{${name}}.work%`, Date.now()],
      );
      assert.is(rows.length, 1, 'the worker still has it');
      return rows[0].locked === true;
    };
    const flow = workflow({ name: 'long' });
    const task: Task<string> = flow.task('held', {
      executor: remote.agent('held'),
      retry: { count: 0, lost: 1 },
    });
    const ended = flow.run().result();
    await until(() => begun.length === 1);
    for (let outage = 0; outage < 3; outage++) {
      proxy.away = true;
      await until(async () => !(await isLocked()));
      proxy.away = false;
      await until(isLocked);
    }
    release();
    assert.is((await ended).results.get(task), 'held');
    assert.equal(begun, ['held#1']);
  });

  test('PostgreSQL: after an outage nobody takes a job for lost before its worker can have renewed the lock', async () => {
    const [proxy, through] = await behindProxy({ postgres: RXHIVE_POSTGRES });
    const server = new QueueServer(through);
    closing.push(() => server.close());
    await server.ready();
    let away = false;
    server.onAway((why) => {
      away = why !== undefined;
    });
    const name = freshName();
    const queue = server.queue(name);
    await queue.add('held', {} as never, { jobId: 'held' });
    const settings = { autorun: false, lockDuration: 60_000, stalledInterval: 1, maxStalledCount: 0 };
    const checker = server.worker(name, null, settings) as unknown as { getBackend(): PostgresBackend };
    const admin = new pg.Pool({ connectionString: RXHIVE_POSTGRES, max: 1 });
    closing.push(() => admin.end());
    /** Takes the job, and lets its lock run out. */
    const take = (): Promise<unknown> =>
      admin.query(
        "update bullmq.job set state = 'active', lock_token = 'x', locked_until_ms = 1, stalled_marked = true where queue = $1",
        [name],
      );
    await take();
    assert.equal(await checker.getBackend().moveStalledJobsToWait(), ['held']);
    await take();
    proxy.away = true;
    const asked = queue.getJob('held');
    await until(() => away);
    proxy.away = false;
    await asked;
    assert.equal(await checker.getBackend().moveStalledJobsToWait(), []);
  });
}

test.run();
