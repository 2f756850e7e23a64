import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from '../../lib/kernel/random.js';
import { sqlite } from '../../lib/stores/sqlite.js';
import { fromSources } from '../support/from-sources.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Run and task of each commit in all logs of a store. */
function committed(file: string): Set<string> {
  const store = sqlite(file);
  const found = store.runs().flatMap(({ runId }) =>
    store.read(runId).flatMap(({ body }) => {
      const { kind, task } = JSON.parse(body) as { kind: string; task: string };
      return kind === 'commit' ? [`${runId}:${task}`] : [];
    }),
  );
  store.close();
  return new Set(found);
}

interface Life {
  readonly began: readonly string[];
  readonly told: readonly string[];
  /** What it came to; undefined: it was killed. */
  readonly end: string | undefined;
}

/** One process, killed with -9 as soon as so many bodies have begun. */
async function live(file: string, what: string, until: number): Promise<Life> {
  const args = [...fromSources, 'spec/support/crashing-streams.ts', file, what];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: Record<string, string[]> = {};
  for await (const line of createInterface(child.stdout)) {
    const [word = '', ...rest] = line.split(' ');
    lines[word] = [...(lines[word] ?? []), rest.join(' ')];
    if ((lines.began?.length ?? 0) >= until) child.kill('SIGKILL');
  }
  return { began: lines.began ?? [], told: lines.told ?? [], end: lines.end?.[0] };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const thirty = Array.from({ length: 30 }, (_, i) => i);
/** What an undisturbed process comes to, and how many bodies there are. */
const whole: Readonly<Record<string, { readonly end: unknown; readonly bodies: number }>> = {
  // Each is one more after the first stage; of each pair one more is added, and one in the last.
  stages: { end: ['succeeded', sum(thirty) + 30 + 15 + 15], bodies: 30 + 15 + 15 },
  operators: { end: 2 * (sum(thirty) + 30) + 30, bodies: 60 },
  runWorkflow: { end: thirty.slice(0, 15).map((n) => n + 2), bodies: 30 },
};

for (const [i, [what, { end, bodies }]] of Object.entries(whole).entries())
  test(`${what}: killed with -9 and begun again over SQLite, nothing is lost, and nothing called that is in the log`, async () => {
    const file = join(folder, `${what}.db`);
    const random = seededRandom(Number(process.env.SEED ?? 5) + i);
    let calls = 0;
    let last: string | undefined;
    for (let lives = 0; last === undefined; lives++) {
      assert.ok(lives < 20, 'it goes on for ever');
      const before = lives === 0 ? new Set<string>() : committed(file);
      const until = lives < 3 ? 2 + Math.floor(random() * 14) : Number.POSITIVE_INFINITY;
      const life = await live(file, what, until);
      calls += life.began.length;
      const after = committed(file);
      const among = (ids: readonly string[], known: ReadonlySet<string>, is: boolean): string[] =>
        ids.filter((id) => known.has(id) === is);
      assert.equal(among(life.began, before, true), [], `called again in life ${lives}`);
      assert.equal(among([...before, ...life.told], after, false), [], `lost in life ${lives}`);
      last = life.end;
    }
    const got = JSON.parse(last);
    assert.equal(what === 'runWorkflow' ? got.sort((a: number, b: number) => a - b) : got, end);
    assert.ok(calls > bodies, `${calls} calls: nobody was killed at work`);
    // Three deaths, with four bodies under way at most.
    assert.ok(calls <= bodies + 3 * 8, `${calls} calls for ${bodies} bodies`);
  });

test.run();
