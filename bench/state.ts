import { collection, workflow } from '../dist/index.js';

// One key changed per commit in a state with many: us per task, the run around it included.
async function cost(
  state: object,
  change: (state: never, i: number) => void,
  tasks: number,
): Promise<number> {
  const flow = workflow({ name: 'bench', state });
  for (let i = 0; i < tasks; i++) {
    flow.task(`t${i}`, { run: (_, ctx) => ctx.update((draft) => change(draft as never, i)) });
  }
  // Making the run freezes the state once; only commits are timed.
  const run = flow.run();
  const begun = performance.now();
  const result = await run.result();
  if (result.status !== 'succeeded') throw new Error(String(result.report));
  return ((performance.now() - begun) * 1000) / tasks;
}

const say = (name: string, figures: readonly number[]): void =>
  console.log(`${name.padEnd(22)}${figures.map((us) => us.toFixed(0).padStart(12)).join('')}`);

const sizes = [1_000, 10_000, 100_000];
console.log(
  `us per commit that changes one key of\n${''.padEnd(22)}${sizes.map((n) => String(n).padStart(12)).join('')}`,
);
const pairs = (n: number): [string, { n: number }][] =>
  Array.from({ length: n }, (_, i) => [`key${i}`, { n: i }]);
type Row = readonly [string, (n: number) => object, (draft: never, key: string, i: number) => void, number];
const rows: readonly Row[] = [
  [
    'record',
    (n) => ({ all: Object.fromEntries(pairs(n)) }),
    (d: { all: Record<string, unknown> }, key, i) => {
      d.all[key] = { n: i };
    },
    20,
  ],
  [
    'Map',
    (n) => ({ all: new Map(pairs(n)) }),
    (d: { all: Map<string, unknown> }, key, i) => {
      d.all.set(key, { n: i });
    },
    20,
  ],
  [
    'collection',
    (n) => ({ all: collection<unknown>(pairs(n)) }),
    (d: { all: Map<string, unknown> }, key, i) => {
      d.all.set(key, { n: i });
    },
    3_000,
  ],
] as readonly Row[];
for (const [name, make, change, tasks] of rows) {
  const figures: number[] = [];
  for (const n of sizes) {
    const state = make(n);
    const one = (draft: never, i: number): void => change(draft, `key${(i * 7919) % n}`, i);
    await cost(make(10), one, 50);
    figures.push(await cost(state, one, tasks));
  }
  say(name, figures);
}
