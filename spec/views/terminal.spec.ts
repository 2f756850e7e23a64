import { lastValueFrom } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TerminalOptions, type TerminalStream, terminal } from '../../lib/dashboard/index.js';
import { workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { showcase } from '../support/showcase.js';

/** A terminal that keeps what is written. */
class Paper implements TerminalStream {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 80;
  readonly rows = 24;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

async function shown(paper: Paper, options: TerminalOptions = {}, hostile?: string): Promise<string> {
  const scheduler = new SimulationScheduler();
  const run = showcase({ scheduler, ...(hostile !== undefined && { hostile }) });
  const end = lastValueFrom(run.events$.pipe(terminal({ stream: paper, scheduler, ...options })));
  await advance(scheduler);
  assert.is((await end).type, 'run');
  return paper.text;
}

test('without a terminal: a line for what people wait for, in order, without escapes', async () => {
  const lines = (await shown(new Paper(false))).split('\n');
  assert.match(lines[0] as string, /^ +0 ms showcase {2}running {2}0\/485 done/);
  assert.match(
    lines.find((line) => line.includes('fetch_13 backing-off')) ?? '',
    /page 13 is gone, again in \d+ ms$/,
  );
  assert.match(lines.find((line) => line.includes('✗ fetch_13')) ?? '', 'failed: Error: page 13 is gone');
  assert.ok(lines.some((line) => line.endsWith('plan: thinking about what to read')));
  assert.match(
    lines.at(-2) as string,
    /showcase {2}partial {2}496\/499 done {2}2 failed {2}1 skipped {2}[\d.]+ s/,
  );
  assert.not.match(lines.join('\n'), '\u001b');
});

test('colour only where it is wanted', async () => {
  assert.match(await shown(new Paper(false), { colour: true }), '\u001b[31m');
  const before = process.env.NO_COLOR;
  process.env.NO_COLOR = '1';
  try {
    assert.not.match(await shown(new Paper(true), { live: false }), '\u001b');
  } finally {
    if (before === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = before;
  }
});

test('a picture is drawn over the one before: who runs, limits, tail of the stream; failures above it as they happen', async () => {
  const text = await shown(new Paper(true), { live: true, colour: false, interval: 20 });
  assert.match(text, '\u001b[2K');
  assert.match(text, /▶ slow +\d+ ms/);
  assert.match(text, /llm \d\/6/);
  assert.match(text, /Bees live/);
  const failed = text.indexOf('✗ fetch_13: Error: page 13 is gone');
  assert.ok(failed > 0 && failed < text.indexOf('▶ write'));
  assert.is(text.indexOf('✗ fetch_13', failed + 1), -1);
  assert.match(text.slice(text.lastIndexOf('\u001b[2K')), 'partial');
});

test('a stream is shown once, of pieces and of texts so far', async () => {
  const tail = async (values: readonly string[]): Promise<string> => {
    const scheduler = new SimulationScheduler();
    const paper = new Paper(true);
    const flow = workflow({ name: 'said' });
    flow.task('ask', {
      run: async function* (_, ctx) {
        for (const value of values) {
          await ctx.sleep(100);
          yield value;
        }
        await ctx.sleep(200);
      },
    });
    const options = { stream: paper, scheduler, live: true, colour: false, interval: 20 };
    const end = lastValueFrom(flow.run({ scheduler }).events$.pipe(terminal(options)));
    await advance(scheduler);
    await end;
    const lines = paper.text.split('\n').filter((line) => line.includes('▶ ask'));
    return / ms {2}(.*)$/.exec(lines.at(-1) ?? '')?.[1] ?? '';
  };
  assert.is(await tail(['Bees ', 'make ', 'honey.']), 'Bees make honey.');
  assert.is(await tail(['Bees ', 'Bees make ', 'Bees make honey.']), 'Bees make honey.');
  assert.is(await tail(['Bees', 'Bees make honey.', 'Bees make honey.']), 'Bees make honey.');
  assert.is(await tail(['Bees make honey.', 'Bees make honey.']), 'Bees make honey.');
  assert.is(await tail(['ha', 'ha', 'ha']), 'hahaha');
  assert.is(await tail(['a', 'and', ' b', ' c', ' d']), 'aand b c d');
  // Another attempt begins anew.
  assert.is(await tail(['Ants', 'Ants run', 'Bees', 'Bees make', 'Bees make honey.']), 'Bees make honey.');
});

test('hostile text cannot move the cursor or turn the line', async () => {
  const text = await shown(new Paper(false), {}, `\u001b[2J\u001b]0;title\u0007\u202eevil\r\nnew line`);
  for (const bad of ['\u001b', '\u0007', '\u202e', '\r']) assert.not.match(text, bad);
  assert.match(text, '\\u001b[2J');
});

test('tasks of nested workflows and turns of loops stand below the name of what they are in', async () => {
  const inner = workflow({ name: 'inner' });
  inner.task('deep', { run: (_, ctx) => ctx.sleep(1_000) });
  inner.task('deeper', { run: (_, ctx) => ctx.sleep(1_000) });
  const outer = workflow({ name: 'outer' });
  outer.task('part', { workflow: inner });
  const flow = workflow({ name: 'framed' });
  flow.task('alone', { run: (_, ctx) => ctx.sleep(1_000) });
  flow.task('whole', { workflow: outer });
  flow.loop('loop', {
    from: 0,
    until: (n) => n > 2,
    max: 5,
    run: (n, ctx) => ctx.sleep(600).then(() => n + 1),
  });
  const loops = workflow({ name: 'loops' });
  loops.loop('turns', {
    from: 0,
    until: (n) => n > 2,
    max: 5,
    run: (n, ctx) => ctx.sleep(600).then(() => n + 1),
  });
  flow.task('in', { workflow: loops });
  const paper = new Paper(true);
  const scheduler = new SimulationScheduler();
  const run = flow.run({ scheduler });
  const options = { stream: paper, scheduler, live: true, colour: false };
  const end = lastValueFrom(run.events$.pipe(terminal(options)));
  await advance(scheduler);
  await end;
  const pictures = paper.text
    .split('\u001b[?7l')
    .map((one) =>
      one
        .split('\n')
        .map((line) => line.replace(/ {2,}.*$/, (rest) => (line.startsWith('  ') ? rest : '')).trimEnd()),
    );
  const second = pictures.find((lines) => lines.some((line) => line.endsWith('\u2502 1')));
  assert.equal(second?.slice(0, 9), [
    '▶ alone',
    '  whole/part',
    '▶ │ deep',
    '▶ │ deeper',
    '‖ loop',
    '▶ │ 1',
    '  in',
    '‖ │ turns',
    '▶ │ │ 1',
  ]);
});

test.run();
