import { readFileSync } from 'node:fs';
import { timer } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LimiterSettings, workflow } from '../../lib/index.js';
import { SimulationScheduler } from '../../lib/testing/index.js';
import { workloadsOr } from '../support/workloads.js';

const folder = `${workloadsOr('traces under limits')}/llm`;

interface Row {
  readonly trace: string;
  readonly scenario: string;
  readonly limits: { readonly rpm?: number; readonly tpm?: number; readonly concurrency?: number };
  /** Seconds. */
  readonly lastStart: number;
  readonly finish?: number;
  readonly meanWait: number;
}

interface Call {
  readonly at: number;
  readonly tokens: number;
  readonly ms: number;
}

/** Calls of a trace; they take 0.2 s, 0.1 ms per token read and 20 ms per token written, as in the reference. */
function callsOf(trace: string): Call[] {
  const [, ...lines] = readFileSync(`${folder}/${trace}`, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [at, input, output] = line.split(',').map(Number) as [number, number, number];
    return { at: Math.round(at * 1_000), tokens: input + output, ms: 200 + input / 10 + output * 20 };
  });
}

/** Sends the calls of a trace through a group with these limits, in virtual time; ms of the starts by call. */
async function replay(
  calls: readonly Call[],
  limiter: LimiterSettings,
): Promise<{ starts: number[]; wall: number }> {
  const scheduler = new SimulationScheduler();
  const starts: number[] = [];
  const flow = workflow({
    name: 'trace',
    concurrency: Number.POSITIVE_INFINITY,
    groups: { llm: { limiter } },
  });
  const run = flow.run({ scheduler, keepOpen: true });
  const result = run.result();
  calls.forEach((call, i) => {
    scheduler.schedule(() => {
      run.task(`call ${i}`, {
        group: 'llm',
        tokens: call.tokens,
        run: () => {
          starts[i] = scheduler.now();
          return timer(call.ms, scheduler);
        },
      });
    }, call.at);
  });
  scheduler.flush();
  run.close();
  scheduler.flush();
  const { status, report } = await result;
  assert.is(status, 'succeeded');
  return { starts, wall: report.wallMs };
}

/** Most of `amount` within any `size` ms, by looking at every start. */
function fullest(starts: readonly number[], size: number, amount: (call: number) => number): number {
  const order = [...starts.keys()].sort((a, b) => (starts[a] as number) - (starts[b] as number));
  let sum = 0;
  let most = 0;
  let tail = 0;
  for (const call of order) {
    sum += amount(call);
    while ((starts[order[tail] as number] as number) <= (starts[call] as number) - size) {
      sum -= amount(order[tail] as number);
      tail += 1;
    }
    most = Math.max(most, sum);
  }
  return most;
}

if (folder === 'undefined/llm') test('traces', () => undefined);
else {
  for (const row of JSON.parse(readFileSync(`${folder}/rate-limit-reference.json`, 'utf8')) as Row[]) {
    const { rpm, tpm, concurrency } = row.limits;
    test(`${row.trace} under ${row.scenario}: no violation, and as fast as the exact replay`, async () => {
      const calls = callsOf(row.trace);
      const { starts, wall } = await replay(calls, {
        ...(rpm !== undefined && { requestsPerMinute: rpm }),
        ...(tpm !== undefined && { tokensPerMinute: tpm }),
        ...(concurrency !== undefined && { maxConcurrent: concurrency }),
      });
      if (rpm !== undefined) assert.ok(fullest(starts, 60_000, () => 1) <= rpm);
      if (tpm !== undefined) assert.ok(fullest(starts, 60_000, (i) => calls[i]?.tokens ?? 0) <= tpm);
      const close = (ms: number, seconds: number, part: number): void =>
        assert.ok(
          Math.abs(ms / 1_000 - seconds) <= seconds * part + 0.001,
          `${ms / 1_000} s, not ${seconds} s`,
        );
      close(Math.max(...starts), row.lastStart, 0.01);
      if (row.finish !== undefined) close(wall, row.finish, 0.01);
      const waits = calls.reduce((sum, { at }, i) => sum + (starts[i] as number) - at, 0);
      close(waits / calls.length, row.meanWait, 0.05);
    });
  }
}

test.run();
