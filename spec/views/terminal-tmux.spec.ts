import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hasTmux, Tmux } from '../support/tmux.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const module = join(folder, 'many.mts');
const pid = join(folder, 'pid');
writeFileSync(
  module,
  `import { writeFileSync } from 'node:fs';
import { workflow } from ${JSON.stringify(resolve('lib/index.ts'))};
const many = Number(process.env.TASKS);
const flow = workflow({ name: 'many', concurrency: many + 1, groups: { llm: { concurrency: many } } });
const hold = setInterval(() => {}, 1_000);
const going = new Promise((go) => process.once('SIGUSR2', () => go(clearInterval(hold))));
for (let i = 0; i < many; i++)
  flow.task('研究員-' + i + '-with-a-long-name', { group: 'llm', run: async function* (_, ctx) {
    yield 'Bees live in hives, 蜂は巣に住む, and make honey all summer long. ';
    await going;
    await ctx.sleep(i * 3);
    if (i % 10 === 0) console.log('printed by ' + i);
    if (i % 50 === 1) throw new Error('no honey in hive ' + i + ', and nobody knows why it is that none of the bees came back');
    yield 'done';
  } });
flow.task('begun', { run: () => writeFileSync(${JSON.stringify(pid)}, String(process.pid)) });
export default flow;
`,
);

if (!hasTmux) console.log('skipped: no tmux');
const look = hasTmux ? test : test.skip;

for (const [columns, tasks, narrowed] of [
  [40, 200, 40],
  [80, 200, 80],
  [200, 200, 200],
  [120, 3, 45], // tmux wraps what stands there, and scrolls some of it out by itself
] as const)
  look(
    `${tasks} tasks in 24 rows of ${columns} columns, then ${narrowed}: one picture, nothing left behind`,
    async () => {
      rmSync(pid, { force: true });
      const run = `TASKS=${tasks} CI= NO_COLOR= ${process.execPath} --import tsx lib/cli/main.ts run ${module}`;
      const tmux = new Tmux(`rxhive-${process.pid}-${columns}`, columns, 24, run);
      try {
        const done = `1/${tasks + 1} done`;
        const picture = await shows(tmux, done);
        const rows = Math.min(tasks, 20);
        assert.is(picture.filter((row) => /^▶ 研究員/.test(row)).length, rows);
        if (tasks > rows) assert.match(picture[rows] ?? '', `… and ${tasks - rows} more at work`);
        assert.match(picture.at(-2) ?? '', `llm ${tasks}/${tasks}`);
        assert.match(picture.at(-1) ?? '', `many  running  ${done}`);
        assert.is(picture.length, tasks > rows ? 23 : rows + 2);
        if (columns >= 80) assert.match(picture[0] ?? '', 'honey');
        if (narrowed !== columns) tmux.resize(narrowed);

        process.kill(Number(readFileSync(pid, 'utf8')), 'SIGUSR2');
        tmux.ended();
        const lines = tmux.lines(narrowed !== columns);
        const end = lines.findIndex((line) => line.startsWith('many: '));
        const said = lines.slice(0, end - 1);
        const wanted = Array.from({ length: tasks }, (_, i) => [
          ...(i % 10 === 0 ? [`printed by ${i}`] : []),
          ...(i % 50 === 1
            ? [
                `✗ 研究員-${i}-with-a-long-name: Error: no honey in hive ${i}, and nobody knows why it is that none of the bees came back`,
              ]
            : []),
        ]);
        assert.equal([...said].sort(), wanted.flat().sort());
        assert.match(lines[end - 1] ?? '', /^many {2}partial {2}\d+\/\d+ done {2}\d failed/);
      } finally {
        tmux.close();
      }
    },
  );

/** The rows of the terminal as soon as they have `text`. */
async function shows(tmux: Tmux, text: string): Promise<string[]> {
  for (;;) {
    const rows = tmux.rows();
    if (rows.some((row) => row.includes(text))) return rows;
    assert.not.ok(
      rows.some((row) => /^(many|rxhive): /.test(row)),
      rows.join('\n'),
    );
    await new Promise((done) => setTimeout(done, 20));
  }
}

test.run();
