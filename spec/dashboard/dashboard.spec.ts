import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { firstValueFrom, toArray } from 'rxjs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forksOf } from '../../lib/cli/fork-point.js';
import { htmlReport, serveDashboard } from '../../lib/dashboard/index.js';
import { eventLines, human, RxhiveError, typed, workflow } from '../../lib/index.js';
import { advance, SimulationScheduler } from '../../lib/testing/index.js';
import { showcase } from '../support/showcase.js';
import { buildPage, chromiumPath, launch, openPage, pictures } from './browser.js';

const folder = mkdtempSync(join(tmpdir(), 'rxhive-'));
const hostile = `<img src=x onerror="globalThis.pwned=1">\u202e\u001b[31m"'\${x}</script><script>alert(1)</script>`;

/** The log of a run in virtual time: always the same, whatever else the machine does. */
async function logOf(options: Parameters<typeof showcase>[0]): Promise<string[]> {
  const scheduler = new SimulationScheduler();
  const log = firstValueFrom(showcase({ ...options, scheduler }).events$.pipe(eventLines(), toArray()));
  await advance(scheduler);
  return log;
}

function fileOf(name: string, log: readonly string[], other: readonly string[] = []): string {
  const file = join(folder, name);
  writeFileSync(file, htmlReport(log.join('\n'), other.join('\n')));
  return pathToFileURL(file).href;
}

/** Text as it is shown: with line breaks, without what is hidden. */
// biome-ignore lint/performance/useDomNodeTextContent: what is shown is what is to be checked
const textOf = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText();
/** Fails unless a text matches within 30 s: pages show what they are told a moment later. */
async function shows(page: Page, selector: string, pattern: RegExp | string): Promise<void> {
  const matches = (text: string): boolean =>
    typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text);
  let text = await textOf(page, selector);
  for (let i = 0; i < 300 && !matches(text); i++) {
    await page.waitForTimeout(100);
    text = await textOf(page, selector);
  }
  assert.match(text, pattern);
}

/** Fails unless there come to be so many. */
async function counts(page: Page, selector: string, many: number): Promise<void> {
  const locator = page.locator(selector);
  for (let i = 0; i < 300 && (await locator.count()) !== many; i++) await page.waitForTimeout(100);
  assert.is(await locator.count(), many, selector);
}

/** Pairs of neighbours, among what stands below one another in a picture, that cover each other. */
function overlaps(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    for (const section of document.querySelectorAll('#picture section')) {
      const parts = [...section.children].filter((one) => one.getClientRects().length > 0);
      for (const [i, part] of parts.entries()) {
        const next = parts[i + 1]?.getBoundingClientRect();
        const inside = [part, ...part.querySelectorAll('p, canvas, li, th, td')]
          .filter((one) => one.closest('.scroll, .list, pre') === null)
          .map((one) => one.getBoundingClientRect());
        const box = part.getBoundingClientRect();
        const below = Math.max(...inside.map(({ bottom }) => bottom));
        if (
          next !== undefined &&
          next.left < box.right &&
          next.right > box.left &&
          next.top < below - 1 &&
          next.top > box.top
        )
          found.push(
            `${part.className || part.tagName} over what follows by ${Math.round(below - next.top)} px`,
          );
      }
    }
    return found;
  });
}

const pick = (page: Page, tab: string): Promise<void> => page.click(`#tab-${tab}`);

const server = suite('server');
server.before(buildPage);

/** A request with any header: a browser or fetch would not send a foreign Host. */
function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
  const { method = 'GET', headers = {}, body } = options;
  return new Promise((done, fail) => {
    const call = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      answer.on('end', () => done({ status: answer.statusCode ?? 0, text, headers: answer.headers }));
    });
    call.on('error', fail);
    call.end(body);
  });
}

server('it answers its own page only, acts with the token only, and trusts no wish', async () => {
  const run = showcase({ pace: 50 });
  const dashboard = await serveDashboard(run);
  const { port, token } = dashboard;
  try {
    assert.match(dashboard.url, /^http:\/\/127\.0\.0\.1:\d+\/#token=/);
    const page = await ask(port, '/');
    assert.is(page.status, 200);
    assert.match(
      String(page.headers['content-security-policy']),
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1:1']) {
      for (const path of ['/', '/events'])
        assert.is((await ask(port, path, { headers: { host } })).status, 403, host);
    }
    assert.is((await ask(port, '/events', { headers: { origin: 'http://evil.example' } })).status, 403);
    const act = (wish: unknown, headers: Record<string, string> = {}): ReturnType<typeof ask> =>
      ask(port, '/actions', {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
        body: JSON.stringify(wish),
      });
    assert.is((await act({ action: 'cancel' }, { authorization: '' })).status, 401);
    assert.is((await act({ action: 'cancel' }, { authorization: `Bearer ${token}x` })).status, 401);
    assert.is((await act({ action: 'cancel' }, { origin: 'http://evil.example' })).status, 403);
    assert.is((await act({ action: 'cancel' }, { 'content-type': 'text/plain' })).status, 415);
    for (const wish of [
      null,
      [],
      { action: 'fly' },
      { action: 'cancelTask' },
      { action: 'cancelTask', taskId: 'nobody' },
      { action: 'setLimit', limit: -1 },
      { action: 'setLimit', group: 'nothing', limit: 2 },
      { action: '__proto__' },
      { action: 'retryFailed' },
      { action: 'fork' },
      { action: 'fork', runId: 'r', taskId: 'plan' },
    ])
      assert.is((await act(wish)).status, 400, JSON.stringify(wish));
    assert.is(
      (await act({ action: 'cancelTask', taskId: 'x'.repeat(70_000) }).catch(() => ({ status: 413 }))).status,
      413,
    );
    assert.is((await ask(port, '/secret')).status, 404);
    assert.is((await act({ action: 'setLimit', group: 'llm', limit: 2 })).status, 204);
    assert.is((await act({ action: 'cancel' })).status, 204);
    assert.is((await run.result()).status, 'cancelled');
  } finally {
    await dashboard.close();
  }
  for (const wrong of [{ port: -1 }, { port: 1.5 }, { capacity: 0 }, { token: 'short' }])
    await serveDashboard(showcase(), wrong).then(
      () => assert.unreachable(JSON.stringify(wrong)),
      (error: unknown) => assert.ok(error instanceof RxhiveError && error.code === 'INVALID_OPTION'),
    );
});

server('who comes late gets what is kept, is told what is not, and goes on where it was', async () => {
  const run = showcase();
  const dashboard = await serveDashboard(run, { capacity: 100 });
  await run.result();
  const read = (headers: Record<string, string> = {}): Promise<string> =>
    new Promise((done) => {
      const call = request(
        { host: '127.0.0.1', port: dashboard.port, path: '/events', headers },
        (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => {
            text += chunk;
            if (!text.includes('event: end')) return;
            call.destroy();
            done(text);
          });
        },
      );
      call.end();
    });
  const text = await read();
  const lost = Number(/event: dropped\ndata: (\d+)/.exec(text)?.[1]);
  const kept = [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
  assert.is(kept[0], lost);
  assert.ok(kept.length >= 100 && kept.length <= 110, String(kept.length));
  assert.match(text, /"reason":"ended"/);
  const last = kept.at(-1) as number;
  const again = await read({ 'last-event-id': String(last - 1) });
  assert.equal(
    [...again.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1])),
    [last],
  );
  await dashboard.close();
});
server.run();

const browser = suite<{ browser: Browser }>('browser');
if (chromiumPath === undefined) {
  console.log('skipped: no Chromium at /usr/bin/chromium; install it or set CHROMIUM');
} else {
  browser.before(async (context) => {
    context.browser = await launch();
  });
  browser.after(async (context) => {
    await context.browser.close();
    rmSync(folder, { recursive: true, force: true });
  });

  browser(
    'a live run: every picture shows it, a task is cancelled and a limit changed from the page',
    async ({ browser }) => {
      // It goes on until "slow" is cancelled, however slow the browser is.
      const run = showcase({ pace: 6, slow: 3_600_000 });
      const dashboard = await serveDashboard(run);
      const { page, faults } = await openPage(browser, dashboard.url);
      try {
        await page.waitForSelector('.box.running');
        await shows(page, 'h1', 'showcase');
        await shows(page, '.status', 'running');
        await page.waitForSelector('.box:has-text("fetch × 240")');
        await pick(page, 'groups');
        const llm = page.locator('[data-group="llm"]');
        await llm.locator('button[aria-label="one less"]').click();
        await page.waitForSelector('[data-group="llm"] :text("of 5 in use")');
        await pick(page, 'graph');
        await page.click('.box:has-text("slow")');
        await shows(page, '.panel h2', 'slow');
        await page.click('.panel .danger');
        await page.waitForSelector('.panel dd:has-text("cancelled")');
        const result = await run.result();
        assert.is(result.tasks.get('slow')?.status, 'cancelled');
        await page.waitForSelector('.status.partial');
        await shows(page, '.counts', /✓ 49\d succeeded/);

        await pick(page, 'graph');
        await page.waitForSelector('.box:has-text("extra_13")');
        await counts(page, '.box', 21);
        assert.ok((await page.locator('.box.strong').count()) >= 4, 'the critical path is drawn');
        assert.ok((await page.locator('.edge.soft').count()) >= 2, 'soft dependencies are dashed');
        await page.locator('.box:has-text("plan")').first().focus();
        await page.keyboard.press('Enter');
        await shows(page, '.panel', /900 in, 120 out/);
        await shows(page, '.panel .messages', /thinking about what to read/);
        assert.not.match(await textOf(page, '.panel'), /hunter2/);
        await page.click('.box:has-text("write")');
        await shows(page, '.panel .stream', 'Bees live in hives.');
        await page.click('.box:has-text("fetch × 240")');
        await page.waitForSelector('.box:has-text("fetch_13")');

        await pick(page, 'timeline');
        const bars = Number(await page.locator('.timeline .hint').first().getAttribute('data-bars'));
        assert.ok(bars > 1_000, String(bars));
        assert.ok(await painted(page), 'the canvas shows bars');
        await page.click('button:has-text("by task")');
        await page.waitForSelector('text=499 rows');
        await page.locator('canvas').focus();
        for (const key of ['+', '+', 'ArrowRight', 'ArrowDown', '-', '0']) await page.keyboard.press(key);

        await pick(page, 'events');
        await page.waitForSelector('.events li:has-text("run ended")');
        await page.fill('input[type=search]', 'page 13 is');
        await page.waitForSelector('.events li.failed:has-text("page 13 is gone")');
        await page.fill('input[type=search]', '');
        await page.selectOption('select', 'log');
        await counts(page, '.events li', 1);

        await pick(page, 'state');
        await shows(page, 'output', /^478 of 478$/);
        await page.locator('.slider input').fill('1');
        await shows(page, '.diff', /done\s+0\s+1/);
        await shows(page, '.author', /fetch_/);

        await pick(page, 'groups');
        await shows(page, '[data-group="web"]', /429s\s+6/);
        await shows(page, '[data-group="llm"] .budget', /budget, calls: 24\d of 400/);
        await counts(page, '.chart canvas', 3);
        await pick(page, 'cost');
        await shows(page, '.cost', /waits for dependencies/);
        await shows(page, '.cost', /reader\s+240\s+239/);
        await pick(page, 'failures');
        await shows(
          page,
          '.failure',
          /fetch_13 failed after 3 attempts\s+Error: page 13 is gone\s+It stopped 1: note_13/,
        );
        await page.locator('#tab-failures').press('ArrowRight');
        await page.locator('#tab-questions').press('ArrowRight');
        assert.is(await page.locator('#tab-compare').getAttribute('aria-selected'), 'true');
        assert.equal(faults, []);
        await page.close();
      } finally {
        await dashboard.close();
      }
    },
  );

  browser(
    'the one-file report opens from a disk: all pictures, dark and light, narrow and wide; two runs compared',
    async ({ browser }) => {
      const [log, other] = [await logOf({}), await logOf({ pace: 2 })];
      const address = fileOf('report.html', log, other);
      for (const dark of [false, true]) {
        for (const width of [1440, 360]) {
          const { page, faults } = await openPage(browser, address, { dark, width });
          await page.waitForSelector('.box');
          for (const tab of [
            'graph',
            'timeline',
            'events',
            'state',
            'groups',
            'cost',
            'failures',
            'questions',
            'compare',
          ]) {
            await pick(page, tab);
            await page.waitForSelector(
              tab === 'graph' ? '.box' : tab === 'questions' ? '#picture > *' : '#picture > section',
            );
            await page.screenshot({ path: `${pictures}/${tab}-${dark ? 'dark' : 'light'}-${width}.png` });
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(wide <= width, `${tab} is ${wide} px wide at ${width}`);
            assert.equal(await overlaps(page), [], `${tab} at ${width}`);
          }
          await shows(page, '.compare', /% sooner/);
          await pick(page, 'groups');
          await shows(page, '[data-group="llm"] .budget', /budget, calls: 24\d of 400/);
          await pick(page, 'compare');
          await counts(page, '.compare canvas', 2);
          assert.equal(faults, []);
          await page.close();
        }
      }
    },
  );

  browser(
    'people answer from the page, step through a paused run, and see why it is stuck and what limits are left',
    async ({ browser }) => {
      const flow = workflow({
        name: 'asked',
        groups: { llm: { concurrency: 2, limiter: { requestsPerMinute: 40, tokensPerMinute: 9_000 } } },
      });
      const draft = flow.task('draft', { group: 'llm', tokens: 100, run: () => 'Bees live in hives.' });
      const publish = flow.task('publish', {
        dependencies: { draft },
        run: ({ draft }, ctx) =>
          ctx.ask(
            human(typed<unknown>(), {
              prompt: `Publish? ${hostile}`,
              context: { draft, diff: `+ ${hostile}` },
            }),
          ),
      });
      flow.task('send', {
        dependencies: { publish },
        group: 'llm',
        tokens: 100,
        run: ({ publish }) => publish,
      });
      const run = flow.run({ pauseBefore: ['draft'] });
      const dashboard = await serveDashboard(run);
      for (const look of [
        { dark: false, width: 1440 },
        { dark: true, width: 360 },
      ]) {
        const { page, faults } = await openPage(browser, dashboard.url, look);
        const shot = (name: string): Promise<unknown> =>
          page.screenshot({ path: `${pictures}/${name}-${look.dark ? 'dark' : 'light'}-${look.width}.png` });
        if (!look.dark) {
          await page.waitForSelector('.halted:has-text("paused before draft")');
          await shot('paused');
          await page.click('button:has-text("step")');
          await page.click('button:has-text("go on")');
        }
        await page.waitForSelector('.halted:has-text("waits for people to answer")');
        await pick(page, 'questions');
        await page.waitForSelector('[data-question="publish?1"]');
        await shows(page, '.question', /Publish\? <img src=x/);
        await shows(page, '.question pre', /Bees live in hives/);
        await counts(page, 'img', 0);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= look.width, String(wide));
        await shot('asked');
        await pick(page, 'groups');
        await page.waitForSelector('[data-group="llm"] .permits:has-text("requestsPerMinute: 1 of 40")');
        await page.waitForSelector('[data-group="llm"] .permits:has-text("tokensPerMinute: 100 of 9,000")');
        await shot('limits');
        if (look.dark) {
          await pick(page, 'questions');
          await page.fill('textarea', '{"yes": true}');
          await page.keyboard.press('Tab');
          await page.keyboard.press('Enter');
          await page.waitForSelector('.empty:has-text("Nothing waits for people")');
        }
        assert.equal(faults, []);
        await page.close();
      }
      const result = await run.result();
      assert.equal(result.results.get('send'), { yes: true });
      await dashboard.close();
    },
  );

  browser('a run is forked from the page after any commit, where there is a store', async ({ browser }) => {
    const flow = workflow({ name: 'forked', concurrency: 1, state: { done: [] as string[] } });
    const calls: string[] = [];
    for (const id of ['first', 'second', 'third'])
      flow.task(id, {
        run: (_, ctx) => {
          calls.push(`${ctx.runId} ${id}`);
          ctx.update((state) => {
            state.done.push(id);
          });
        },
      });
    const store = join(folder, 'forked.db');
    const run = flow.run({ store, runId: 'one' });
    const fork = forksOf(flow as never, store, 'forked.ts', () => undefined);
    const dashboard = await serveDashboard(run, { ...(fork !== undefined && { fork }) });
    await run.result();
    const { page, faults } = await openPage(browser, dashboard.url);
    await pick(page, 'state');
    await page.locator('.slider input').fill('2');
    await shows(page, '.author', 'second');
    await page.screenshot({ path: `${pictures}/fork-light-1440.png` });
    await page.click('.fork');
    await shows(page, '.top', 'one-fork-1');
    await shows(page, '.status', 'succeeded');
    assert.equal(calls, ['one first', 'one second', 'one third', 'one-fork-1 third']);
    await page.waitForSelector('.whole:has-text("third")');
    assert.equal(faults, []);
    await page.close();
    await dashboard.close();
  });

  browser('what failed runs again from the page, which then shows that', async ({ browser }) => {
    const flow = workflow({ name: 'repaired' });
    let works = false;
    flow.task('fine', { run: () => 1 });
    flow.task('broken', {
      run: () => {
        if (!works) throw new Error('not yet');
      },
    });
    const options = { store: join(folder, 'repaired.db'), runId: 'r' };
    const run = flow.run(options);
    const dashboard = await serveDashboard(run, { retry: () => flow.run({ ...options, retry: 'failed' }) });
    await run.result();
    const { page, faults } = await openPage(browser, dashboard.url);
    await pick(page, 'failures');
    await shows(page, '.failure', /broken failed/);
    works = true;
    await page.click('button:has-text("run what failed again")');
    await shows(page, '.status', 'succeeded');
    await shows(page, '.counts', /1 succeeded.*1 restored|1 restored.*1 succeeded/s);
    assert.equal(faults, []);
    await page.close();
    await dashboard.close();
  });

  browser('hostile names do nothing but stand there as text', async ({ browser }) => {
    const address = fileOf(
      'hostile.html',
      await logOf({ hostile: hostile + 'x'.repeat(900 - hostile.length) }),
    );
    const { page, faults } = await openPage(browser, address);
    await page.waitForSelector('.box');
    await shows(page, 'h1', '<img src=x onerror=');
    assert.not.match(await textOf(page, 'h1'), '\u202e');
    for (const tab of ['timeline', 'events', 'state', 'groups', 'cost', 'compare', 'failures', 'graph'])
      await pick(page, tab);
    await page.locator('.box:has-text("<img")').first().click();
    await shows(page, '.panel', '<img src=x');
    assert.is(await page.evaluate(() => (globalThis as { pwned?: unknown }).pwned), undefined);
    await counts(page, 'img', 0);
    assert.equal(faults, []);
    await page.screenshot({ path: `${pictures}/hostile.png` });
    await page.close();
  });

  browser('100,000 bars are drawn', async ({ browser }) => {
    const lines: string[] = [];
    let seq = 0;
    const say = (event: object): number => lines.push(JSON.stringify({ seq: ++seq, runId: 'r', ...event }));
    say({ at: 0, type: 'run', reason: 'started', version: 1, workflow: 'many', startedAt: 0 });
    const tasks = Array.from({ length: 50_000 }, (_, i) => ({ id: `t${i}`, dependencies: [] }));
    say({ at: 0, type: 'plan', reason: 'initial', tasks, concurrency: 50, groups: [] });
    for (let i = 0; i < 50_000; i++) say({ at: 0, type: 'task', reason: 'ready', taskId: `t${i}` });
    for (let i = 0; i < 50_000; i++) {
      const at = Math.floor(i / 50) * 10;
      if (i >= 50) say({ at, type: 'task', reason: 'succeeded', taskId: `t${i - 50}` });
      say({ at: at + 1, type: 'task', reason: 'running', taskId: `t${i}` });
    }
    const { page, faults } = await openPage(browser, fileOf('many.html', lines));
    await page.waitForSelector('.box:has-text("t# × 50000")');
    await pick(page, 'timeline');
    const bars = Number(await page.locator('.timeline .hint').first().getAttribute('data-bars'));
    assert.ok(bars >= 99_000, String(bars));
    assert.ok(await painted(page));
    const ms = await page.evaluate(async () => {
      const canvas = document.querySelector('canvas') as HTMLCanvasElement;
      const begun = performance.now();
      for (let i = 0; i < 30; i++) {
        canvas.dispatchEvent(new KeyboardEvent('keydown', { key: i < 15 ? '+' : '-', bubbles: true }));
        await new Promise((next) => requestAnimationFrame(next));
      }
      return (performance.now() - begun) / 30;
    });
    console.log(`# ${bars} bars: ${ms.toFixed(1)} ms a frame while zooming`);
    assert.equal(faults, []);
    await page.close();
  });

  browser.run();
}

/** Something other than the background stands on the canvas. */
function painted(page: Page): Promise<boolean> {
  return page.evaluate(() => {
    const canvas = document.querySelector('.timeline canvas') as HTMLCanvasElement;
    const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(
      0,
      0,
      canvas.width,
      canvas.height,
    );
    const colours = new Set<string>();
    for (let i = 0; i < data.length; i += 4 * 97) colours.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
    return colours.size > 3;
  });
}
