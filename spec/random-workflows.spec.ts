import fc from 'fast-check';
import { defer, finalize, map, timer, VirtualTimeScheduler } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  any,
  failed,
  optional,
  orElse,
  quorum,
  race,
  settled,
  type Task,
  type TaskContext,
  type TaskReport,
  WorkflowCancelledError,
  workflow,
} from '../lib/index.js';
import { seededRandom } from '../lib/kernel/random.js';
import { StatusMoves } from './support/status-moves.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
const runs = Number(process.env.RUNS ?? 2_500);
const capacity = 3;

/** Runs one workflow made from a seed in virtual time and checks everything that must hold. */
function check(workflowSeed: number): void {
  const random = seededRandom(workflowSeed);
  const upTo = (n: number): number => Math.floor(random() * (n + 1));
  const scheduler = new VirtualTimeScheduler();
  const limit = 1 + upTo(4);
  const limits: Record<string, number> = { a: 1, b: 2 };
  const flow = workflow({
    name: 'random',
    concurrency: limit,
    groups: { a: { concurrency: 1 }, b: { concurrency: 2 } },
    resources: { unit: capacity },
    ...(random() < 0.3 && { aging: 15 }),
    ...(random() < 0.1 && { failurePolicy: 'fail-fast' as const }),
  });
  // A throw inside a body would only fail that task: collect and look at the end.
  const broken: string[] = [];
  const must = (holds: boolean, message: string): void => {
    if (!holds) broken.push(message);
  };
  const active = { all: 0, a: 0, b: 0, unit: 0 };
  let paused = false;
  const needs = new Map<string, { task: { readonly id: string }; mode: string }[]>();
  /** Tasks of nested workflows by the task that is one. */
  const nested = new Map<string, string[]>();
  const cleanup = new Set<string>();
  const contests = new Map<string, Contest>();
  const decisions = new Set<string>();
  const statuses = (): ReadonlyMap<string, string> => run.snapshot().tasks;
  const body = (id: string, group: 'a' | 'b' | undefined, unit: number) => (_: unknown, ctx: TaskContext) => {
    const duration = random() < 0.3 ? 0 : upTo(20);
    const fails = random() < 0.15;
    const skips = random() < 0.05;
    const children = random() < 0.1 ? 1 + upTo(1) : 0;
    return defer(() => {
      active.all += 1;
      active.unit += unit;
      if (group !== undefined) active[group] += 1;
      must(active.all <= limit, `limit ${limit} broken by ${id}`);
      must(!paused || cleanup.has(id), `${id} began in a pause`);
      must(active.unit <= capacity, `resource broken by ${id}`);
      if (group !== undefined)
        must(active[group] <= (limits[group] as number), `group ${group} broken by ${id}`);
      for (const { task, mode } of needs.get(id) ?? []) {
        const status = statuses().get(task.id) as string;
        if (mode === 'value') must(status === 'succeeded', `${id} started before ${task.id}`);
        else if (mode === 'failed') must(status === 'failed', `${id} handles no failure of ${task.id}`);
        else
          must(
            ['succeeded', 'failed', 'skipped', 'cancelled'].includes(status),
            `${id} started before ${task.id}`,
          );
      }
      const contest = contests.get(id);
      const won = contest?.tasks.filter((task) => statuses().get(task.id) === 'succeeded').length ?? 0;
      must(won >= (contest?.need ?? 0), `${id} started before its contest was won`);
      for (let i = 0; i < children && id.length < 12; i++)
        ctx.spawn(`${id}.${i}`, { run: body(`${id}.${i}`, undefined, 0) });
      return (duration === 0 ? [0] : timer(duration, scheduler)) as ReturnType<typeof timer>;
    }).pipe(
      map(() => {
        if (fails) throw new Error('planned');
        if (skips) decisions.add(id);
        if (skips) ctx.skip('planned');
        return id;
      }),
      finalize(() => {
        active.all -= 1;
        active.unit -= unit;
        if (group !== undefined) active[group] -= 1;
      }),
    );
  };
  /** A workflow of a few tasks with conditions and rules, of which one may be a workflow too. */
  const innerOf = (id: string, depth: number) => {
    const inner = workflow({ name: `inner ${depth}`, ...(random() < 0.3 && { concurrency: 1 }) });
    const own: Task<string>[] = [];
    const ids: string[] = [];
    for (let i = 0; i <= upTo(2); i++) {
      const full = `${id}/${i}`;
      const chosen = own.flatMap((task) =>
        random() < 0.5 ? [{ task, mode: modes[upTo(modes.length - 1)] as string }] : [],
      );
      ids.push(full);
      needs.set(
        full,
        chosen.map(({ task, mode }) => ({ task: { id: `${id}/${task.id}` }, mode })),
      );
      const dependencies = chosen.map(({ task, mode }) => dependencyOf(task, mode));
      const given = { dependencies, ...(random() < 0.15 && { when: conditionOf(full, random() < 0.5) }) };
      if (depth < 2 && random() < 0.3) {
        const more = innerOf(full, depth + 1);
        own.push(inner.task(`${i}`, { dependencies, workflow: more.inner }) as Task<string>);
        ids.push(...more.ids);
      } else own.push(inner.task(`${i}`, { ...given, run: body(full, undefined, 0) }) as Task<string>);
    }
    nested.set(id, ids);
    return { inner, ids };
  };
  const tasks: Task<string>[] = [];
  const count = 1 + upTo(20);
  for (let i = 0; i < count; i++) {
    const id = `t${i}`;
    const chosen = new Map<Task<string>, string>();
    for (let k = upTo(3); k > 0 && tasks.length > 0; k--) {
      const mode = modes[upTo(modes.length - 1)] as string;
      chosen.set(tasks[upTo(tasks.length - 1)] as Task<string>, mode);
    }
    needs.set(
      id,
      [...chosen].map(([task, mode]) => ({ task, mode })),
    );
    const rivals = tasks.filter(() => random() < 0.3).slice(0, 4);
    if (random() < 0.3 && rivals.length > 0)
      contests.set(id, {
        tasks: rivals,
        need: random() < 0.5 ? 1 : 1 + upTo(rivals.length - 1),
        others: random() < 0.3 ? 'go on' : 'stop',
      });
    const contest = contests.get(id);
    const group = (['a', 'b', undefined] as const)[upTo(2)];
    const unit = random() < 0.3 ? 1 + upTo(capacity - 1) : 0;
    const cleansUp = random() < 0.15;
    if (random() < 0.08 && contest === undefined && !cleansUp) {
      const dependencies = [...chosen].map(([task, mode]) => dependencyOf(task, mode));
      tasks.push(flow.task(id, { dependencies, workflow: innerOf(id, 1).inner }) as unknown as Task<string>);
      continue;
    }
    if (cleansUp) cleanup.add(id);
    tasks.push(
      flow.task(id, {
        dependencies: [
          ...(contest === undefined ? [] : [contestOf(contest)]),
          ...[...chosen].map(([task, mode]) => dependencyOf(task, mode)),
        ],
        run: body(id, group, unit),
        ...(random() < 0.15 && { when: conditionOf(id, random() < 0.5) }),
        ...(group === undefined ? {} : { group }),
        ...(cleansUp && { always: true }),
        priority: upTo(4) - 2,
        retry: { count: upTo(2), backoff: { initial: 5, max: 20 } },
        ...(random() < 0.1 && { timeout: { attempt: 10, queue: 200 } }),
        ...(unit > 0 && { resources: { unit } }),
      }) as Task<string>,
    );
  }
  function conditionOf(id: string, answer: boolean) {
    return (): boolean => {
      must(!decisions.has(id), `${id} was asked again`);
      if (!answer) decisions.add(id);
      return answer;
    };
  }
  const run = flow.run({ scheduler, seed: workflowSeed });
  const probe = (): void => {
    const running = [...statuses().values()].filter((status) => status === 'running').length;
    must(running === active.all, 'running tasks and active bodies differ');
  };
  for (let i = 0; i < 12; i++) scheduler.schedule(probe, upTo(100));
  if (random() < 0.1) scheduler.schedule(() => run.cancel(), upTo(60));
  if (random() < 0.2) scheduler.schedule(() => run.cancelTask(`t${upTo(count - 1)}`), upTo(60));
  const soon = (chance: number, change: () => void): void => {
    if (random() < chance) scheduler.schedule(change, upTo(60));
  };
  soon(0.2, () => run.setPriority(`t${upTo(count - 1)}`, upTo(8) - 4));
  soon(0.2, () => {
    run.setResource('unit', upTo(capacity));
    scheduler.schedule(() => run.setResource('unit', capacity), upTo(30));
  });
  soon(0.2, () => {
    run.pause();
    paused = true;
    scheduler.schedule(() => {
      paused = false;
      run.resume();
    }, upTo(30));
  });
  let ended = 0;
  let summary: ReadonlyMap<string, TaskReport> | undefined;
  const moves = new StatusMoves();
  run.events$.subscribe((event) => {
    moves.see(event);
    if (event.type === 'task' && ['succeeded', 'failed', 'skipped'].includes(event.reason))
      for (const id of nested.get(event.taskId) ?? [])
        must(ends.has(statuses().get(id) ?? ''), `${event.taskId} has ended before ${id}`);
    if (event.type === 'run' && event.reason === 'ended') ended += 1;
  });
  const pending = run.result().then((result) => {
    assert.equal(moves.wrong, [], 'statuses move as no task does');
    summary = result.tasks;
    const reported = Object.values(result.report.counts).reduce((sum, n) => sum + n, 0);
    assert.is(reported, result.tasks.size, 'a task is in no or two end states');
    for (const [id, task] of result.tasks) {
      const { waits } = task;
      const sum =
        waits.dependencies + waits.slot + waits.permit + waits.backoff + waits.suspended + task.runningMs;
      const last = task.attempts.at(-1);
      if (!id.includes('.') && last !== undefined && task.status !== 'cancelled') {
        assert.is(sum, last.endedAt, `times of ${id} do not add up`);
      }
      const missing = (needs.get(id) ?? []).some(
        (need) =>
          (need.mode === 'value' && result.tasks.get(need.task.id)?.status !== 'succeeded') ||
          (need.mode === 'failed' && result.tasks.get(need.task.id)?.status !== 'failed'),
      );
      decided += decisions.has(id) ? 1 : 0;
      if (decisions.has(id) && !['cancelled', 'failed'].includes(task.status))
        assert.equal([task.status, task.decided], ['skipped', true], `${id} ran after all`);
      const contest = contests.get(id);
      const won = contest?.tasks.filter((one) => result.tasks.get(one)?.status === 'succeeded').length ?? 0;
      const beaten = won < (contest?.need ?? 0);
      if (cleanup.has(id) && result.error !== undefined)
        assert.is.not(task.error, result.error, `${id} was ended with the run it cleans up after`);
      if (task.status === 'succeeded') assert.not(beaten, `${id} ran without its contest`);
      if (task.error instanceof WorkflowCancelledError && task.error.reason === 'lost') {
        lost += 1;
        for (const [other, { tasks, others }] of contests)
          if (others === 'go on' && contests.get(other)?.need === 1 && tasks.some((one) => one.id === id))
            assert.not(result.tasks.get(other)?.status === 'succeeded', `${id} lost, and ${other} is of any`);
        for (const [other, list] of needs) {
          const status = result.tasks.get(other)?.status as string;
          // Cleanup waits for its end whatever that is.
          if (!cleanup.has(other) && list.some((need) => need.task.id === id))
            assert.ok(['skipped', 'cancelled'].includes(status), `${other} is ${status} but needed ${id}`);
        }
        const rivals = [...contests].filter(([, { tasks }]) => tasks.some((one) => one.id === id));
        const below = [...needs].filter(([, list]) => list.some((need) => need.task.id === id));
        assert.ok(isInner(id) || rivals.length + below.length > 0, `${id} lost against nobody`);
      }
      if (task.status === 'succeeded') assert.not(missing, `${id} ran without its dependencies`);
      // What is decided within a nested workflow, or before it, is decided for the whole.
      if (task.status === 'skipped' && !nested.has(id) && !isInner(id))
        assert.ok(
          (missing || beaten || decisions.has(id)) && (task.skippedBecause?.length ?? 0) > 0,
          `${id} was skipped without cause`,
        );
    }
  });
  scheduler.flush();
  assert.equal(broken, []);
  assert.is(ended, 1, 'the run did not end');
  assert.is(active.all, 0, 'bodies are left');
  checks.push(pending.then(() => assert.ok(summary)));
}

/** Several tasks of which some have to succeed. */
interface Contest {
  readonly tasks: Task[];
  readonly need: number;
  /** What becomes of the others, where one is enough. */
  readonly others: 'stop' | 'go on';
}

const ends: ReadonlySet<string> = new Set(['succeeded', 'failed', 'skipped', 'cancelled']);

function dependencyOf(task: Task<string>, mode: string) {
  if (mode === 'optional') return optional(task);
  if (mode === 'settled') return settled(task);
  if (mode === 'failed') return failed(task);
  return mode === 'orElse' ? orElse(task, 'none') : task;
}

/** Is it part of a nested workflow? */
const isInner = (id: string): boolean => /\/|\.input$/.test(id);

const modes = ['value', 'value', 'value', 'value', 'optional', 'settled', 'orElse', 'failed'];

function contestOf({ tasks, need, others }: Contest) {
  if (need === 1 && others === 'go on') return any(tasks);
  return need === 1 ? race(tasks) : quorum(need, tasks);
}

let lost = 0;
let decided = 0;
const checks: Promise<void>[] = [];

test(`${runs} random workflows keep every promise (SEED=${seed})`, async () => {
  fc.assert(fc.property(fc.integer({ min: 0 }), check), { numRuns: runs, seed });
  await Promise.all(checks);
  assert.ok(decided > 0, 'no task has ever decided that it does not run');
  assert.ok(lost > 0, 'no task has ever lost: the property checks nothing');
});

test.run();
