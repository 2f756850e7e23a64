import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Group, Lane } from '../../lib/graph/lane.js';
import { Edge, TaskNode } from '../../lib/graph/node.js';
import { Task } from '../../lib/model/dependency.js';
import { etaOf } from '../../lib/observe/eta.js';

const given = fc.record({
  before: fc.array(fc.nat({ max: 50 }), { maxLength: 3 }),
  /** Undefined: nothing is known. */
  ms: fc.option(fc.nat({ max: 100 }), { nil: undefined }),
  status: fc.constantFrom('waiting', 'running', 'succeeded'),
  grouped: fc.boolean(),
});

test('the longest path or the most work that is left, whichever is more, in whatever order tasks were defined', () => {
  const tasks = fc.array(given, { minLength: 1, maxLength: 30, size: 'max' });
  fc.assert(
    fc.property(tasks, fc.boolean(), fc.integer({ min: 1, max: 8 }), (all, reversed, limit) => {
      const group = new Group('g', 2);
      const slots = { active: 0, limit };
      const lanes = [undefined, group].map((one) => new Lane(slots as never, one, [], []));
      const nodes = all.map(({ ms, grouped, status }, i) => {
        const definition = { estimate: ms, run: () => undefined };
        const lane = lanes[grouped ? 1 : 0] as Lane;
        const node = new TaskNode(new Task(`t${i}`, {}), definition as never, i, lane);
        node.status = status;
        node.ended = status === 'succeeded';
        return node;
      });
      const behind: number[][] = all.map(() => []);
      for (const [i, { before }] of all.entries())
        for (const at of i === 0 ? [] : before.map((one) => one % i)) {
          const [from, to] = [nodes[at] as TaskNode, nodes[i] as TaskNode];
          new Edge(from, to, 'value', undefined, undefined);
          to.depth = Math.max(to.depth, from.depth + 1);
          behind[at]?.push(i);
        }
      const now = 40;
      const known = all.flatMap(({ ms, status }) => (status === 'succeeded' || ms === undefined ? [] : [ms]));
      const mean = known.reduce((sum, ms) => sum + ms, 0) / known.length;
      const left = all.map(({ ms = mean, status }) =>
        status === 'succeeded' ? 0 : status === 'running' ? Math.max(ms - now, now / 10) : ms,
      );
      const pathOf = (i: number): number =>
        all[i]?.status === 'succeeded' ? 0 : (left[i] ?? 0) + Math.max(0, ...(behind[i] ?? []).map(pathOf));
      const workOf = (some: (i: number) => boolean): number =>
        left.reduce((sum, ms, i) => (some(i) ? sum + ms : sum), 0);
      const shared = workOf((i) => all[i]?.grouped === true) / group.limit;
      const most = Math.max(...all.map((_, i) => pathOf(i)), workOf(() => true) / limit, shared);
      const open = all.filter(({ status }) => status !== 'succeeded').length;
      const listed = new Map((reversed ? [...nodes].reverse() : nodes).map((node) => [node.id, node]));
      const eta = etaOf(
        listed,
        { now: () => now, limit, limitChanges: 0, open, starts: 0 },
        ({ definition }) => definition.estimate,
      );
      if (open === 0) assert.is(eta, 0);
      else if (known.length === 0) assert.is(eta, undefined);
      else assert.ok(Math.abs((eta ?? Number.NaN) - most) <= 0.5 + 1e-6, `${eta} for ${most}`);
    }),
  );
});

test.run();
