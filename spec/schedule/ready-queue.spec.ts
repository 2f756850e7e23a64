import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Gate } from '../../lib/graph/gate.js';
import { Group, Lane, Resource, RunSlots } from '../../lib/graph/lane.js';
import { type AttemptHandle, TaskNode } from '../../lib/graph/node.js';
import { Task } from '../../lib/model/dependency.js';
import { runsBefore } from '../../lib/model/task-order.js';
import { ReadyQueue } from '../../lib/schedule/ready-queue.js';

/** Fewer starts than those after which equals that wait for a resource are no longer overtaken. */
const mostTakes = 16;

class Door implements Gate {
  readonly waitsFor = 'slot';
  readonly parked = new Set<Lane>();
  /** Tasks that passed and have not ended. */
  inside = 0;
  open = true;
  connect(): void {}
  admits(): boolean {
    return this.open;
  }
  acquire(): void {
    this.inside += 1;
  }
  pause(): void {
    this.inside -= 1;
  }
  release(): void {
    this.inside -= 1;
  }
  reason(): string {
    return 'a door';
  }
}

type Step =
  | { readonly do: 'push'; readonly lane: number; readonly priority: number; readonly rank: number }
  | { readonly do: 'take' }
  | { readonly do: 'end' | 'pause' | 'remove'; readonly at: number }
  | { readonly do: 'raise'; readonly at: number; readonly priority: number }
  | { readonly do: 'relane'; readonly at: number; readonly lane: number }
  | { readonly do: 'door'; readonly at: number; readonly open: boolean }
  | { readonly do: 'limit'; readonly at: number; readonly limit: number };

const any = fc.nat({ max: 99 });
const priority = fc.nat({ max: 3 });
const amount = fc.constantFrom(0, 0, 1, 2, 3);
type Kinds = readonly { readonly group: number | undefined; readonly needs: readonly [number, number] }[];
const kinds = (group: fc.Arbitrary<number | undefined>, needed: fc.Arbitrary<number>): fc.Arbitrary<Kinds> =>
  fc.array(fc.record({ group, needs: fc.tuple(needed, needed) }), { minLength: 1, maxLength: 5 });
const groups = fc.constantFrom(undefined, 0, 1);
const none = fc.constant(0);

const push = fc.record({ do: fc.constant('push'), lane: any, priority, rank: fc.nat({ max: 2 }) });
const take = fc.record({ do: fc.constant('take') });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: push },
    { weight: 4, arbitrary: take },
    fc.record({ do: fc.constantFrom('end' as const, 'pause' as const), at: any }),
    fc.record({ do: fc.constant('remove'), at: any }),
    fc.record({ do: fc.constant('raise'), at: any, priority }),
    fc.record({ do: fc.constant('relane'), at: any, lane: any }),
    fc.record({ do: fc.constant('door'), at: any, open: fc.boolean() }),
    fc.record({ do: fc.constant('limit'), at: any, limit: fc.nat({ max: 3 }) }),
  ),
  { maxLength: 120, size: 'max' },
);

function isShort({ lane }: TaskNode): boolean {
  return lane.needs.some(({ resource, amount }) => resource.free < amount);
}

/** Has its group a place, and does each door let it pass? */
function isAdmitted(node: TaskNode): boolean {
  const { group, gates } = node.lane;
  return (
    (group === undefined || group.active < group.limit) &&
    gates.every((list) => list.every((gate) => gate.admits(node)))
  );
}

/**
 * Who may start, by looking at all: the best that is admitted, and whose resources are free and wanted by nobody more
 * urgent who waits for resources alone; with `any` by nobody more urgent who waits for resources.
 */
function bestOf(waiting: readonly TaskNode[], claims: 'of the admitted' | 'any'): TaskNode | undefined {
  const claimed = new Map<Resource, number>();
  for (const node of [...waiting].sort((a, b) => (runsBefore(a, b) ? -1 : 1))) {
    const { needs } = node.lane;
    const admitted = isAdmitted(node);
    const short = needs.some(
      ({ resource, amount }) =>
        resource.free < amount || (claimed.get(resource) ?? Number.NEGATIVE_INFINITY) > node.urgency,
    );
    if (!short && admitted) return node;
    if (short && (admitted || claims === 'any'))
      for (const { resource } of needs)
        claimed.set(resource, Math.max(claimed.get(resource) ?? Number.NEGATIVE_INFINITY, node.urgency));
  }
  return undefined;
}

/** Plays steps on a queue; it gives the task found by looking at all or, where not `exact`, one that is as good. */
function play(kinds: Kinds, all: readonly Step[], exact: boolean): void {
  const doors = [new Door(), new Door()] as const;
  const groups = [new Group('a', 2), new Group('b', 2)] as const;
  groups[0].gates.push(doors[1]);
  const resources = [new Resource('x', 3, 0), new Resource('y', 3, 1)];
  const lanes = kinds.map(({ group, needs }) => {
    const needed = resources.map((resource, i) => ({ resource, amount: needs[i] as number }));
    return new Lane(
      new RunSlots(Number.POSITIVE_INFINITY),
      group === undefined ? undefined : groups[group as 0],
      needed.filter(({ amount }) => amount > 0),
      [[doors[0]]],
    );
  });
  const queue = new ReadyQueue(() => 0, false);
  let waiting: TaskNode[] = [];
  let running: TaskNode[] = [];
  let seq = 0;
  let takes = 0;
  const wait = (node: TaskNode): void => {
    queue.push(node);
    waiting.push(node);
  };
  for (const step of all) {
    const waits = 'at' in step ? waiting[step.at % Math.max(1, waiting.length)] : undefined;
    const runs = 'at' in step ? running[step.at % Math.max(1, running.length)] : undefined;
    const lane = lanes['lane' in step ? step.lane % lanes.length : 0] as Lane;
    if (step.do === 'push') {
      const node = new TaskNode(new Task(`t${seq}`), { run: () => undefined }, seq++, lane);
      node.status = 'ready';
      node.priority = step.priority;
      node.rank = step.rank;
      wait(node);
    } else if (step.do === 'take') {
      if (takes === mostTakes) return;
      const best = bestOf(waiting, exact ? 'of the admitted' : 'any');
      const free = new Set(waiting.filter((one) => isAdmitted(one) && !isShort(one)));
      const taken = queue.take();
      if (exact) assert.is(taken?.id, best?.id);
      else {
        assert.ok(taken === undefined || free.has(taken), `${taken?.id} cannot start`);
        assert.ok(
          best === undefined || taken === best || (taken !== undefined && runsBefore(taken, best)),
          `${taken?.id} went before ${best?.id}`,
        );
      }
      if (taken === undefined) continue;
      takes += 1;
      waiting = waiting.filter((one) => one !== taken);
      running.push(taken);
      taken.running ??= {} as AttemptHandle;
    } else if (step.do === 'door') {
      const door = doors[(step.at % 2) as 0];
      door.open = step.open;
      if (step.open) queue.opened(door);
    } else if (step.do === 'limit') {
      const group = groups[(step.at % 2) as 0];
      group.limit = step.limit;
      queue.unpark(group);
    } else if (step.do === 'end' || step.do === 'pause') {
      if (runs === undefined) continue;
      running = running.filter((one) => one !== runs);
      if (step.do === 'end') queue.release(runs, { kind: 'succeeded' });
      else {
        queue.pause(runs);
        runs.lane = runs.lane.resumeLane;
        wait(runs);
      }
    } else if (waits === undefined) continue;
    else if (step.do === 'remove') {
      queue.remove(waits);
      waiting = waiting.filter((one) => one !== waits);
    } else if (step.do === 'relane') queue.relane(waits, lane);
    else if (step.do === 'raise' && step.priority > waits.priority)
      queue.raise(waits, step.priority, waits.rank);
    assert.is(queue.active, running.length);
    assert.is(doors[0].inside, running.length);
    for (const group of groups)
      assert.is(group.active, running.filter((one) => one.lane.group === group).length);
    for (const resource of resources)
      assert.is(
        resource.capacity - resource.free,
        running
          .flatMap((one) => one.lane.needs)
          .reduce((sum, need) => sum + (need.resource === resource ? need.amount : 0), 0),
      );
  }
}

const numRuns = Number(process.env.RUNS ?? 1_000);

test('with groups and doors the task that may start is the one found by looking at all', () => {
  fc.assert(
    fc.property(kinds(groups, none), steps, (lanes, all) => play(lanes, all, true)),
    { numRuns },
  );
});

test('with resources too, which are kept for who is more urgent', () => {
  const without = steps.map((all) => all.filter((step) => step.do !== 'door'));
  fc.assert(
    fc.property(kinds(fc.constant(undefined), amount), without, (lanes, all) => play(lanes, all, true)),
    { numRuns },
  );
});

// Who wants a resource is asked again when some of it comes free, not when its group fills up or a door moves: a less
// urgent one may be held up until then, or get ahead, but none that can start is left behind for one that comes after.
test('with all of them at once none that may start is left behind', () => {
  fc.assert(
    fc.property(kinds(groups, amount), steps, (lanes, all) => play(lanes, all, false)),
    { numRuns },
  );
});

test.run();
