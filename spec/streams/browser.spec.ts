import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { NEVER, Subject } from 'rxjs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { workflow } from '../../lib/index.js';
import { type EventStream, toEventSource } from '../../lib/streams/index.js';
import { chromiumPath, launch } from '../dashboard/browser.js';

/** Keeps what its EventSource hears, and does not close it. */
const html = `<!doctype html><title>page</title><script>
  globalThis.heard = [];
  globalThis.source = new EventSource('/events');
  for (const name of ['message', 'tick', 'dropped', 'failed', 'end', 'pwned'])
    source.addEventListener(name, ({ data }) => heard.push([name, data]));
</script>`;

interface Site {
  readonly url: string;
  /** One for each time a browser asked for events. */
  readonly connections: ServerResponse[];
}

const closing: (() => void)[] = [];

/** `open` is called for the first who asks for events. */
async function site(open: () => EventStream): Promise<Site> {
  let events: EventStream | undefined;
  const connections: ServerResponse[] = [];
  const server = createServer((request, response) => {
    if (request.url === '/events') {
      connections.push(response);
      events ??= open();
      events.serve(request, response);
    } else response.setHeader('content-type', 'text/html').end(request.url === '/' ? html : '');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  closing.push(() => {
    events?.close();
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, connections };
}

const heardBy = (page: Page): Promise<[string, string][]> => page.evaluate('heard');
/** Waits until the page has heard so many events. */
const hears = (page: Page, many: number): Promise<unknown> => page.waitForFunction(`heard.length >= ${many}`);

/** A page that has its stream. */
async function visit(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction('source.readyState === EventSource.OPEN');
  return page;
}

const browser = suite<{ browser: Browser }>('browser');
if (chromiumPath === undefined)
  console.log('skipped: no Chromium at /usr/bin/chromium; install it or set CHROMIUM');
else {
  browser.before(async (context) => {
    context.browser = await launch();
  });
  browser.after(async (context) => {
    for (const close of closing) close();
    await context.browser.close();
  });

  browser(
    'a page whose connection breaks goes on where it was, and stops at the end',
    async ({ browser }) => {
      const source = new Subject<number>();
      const { url, connections } = await site(() => toEventSource(source, { retry: 1 }));
      const page = await visit(browser, url);
      for (let i = 0; i < 6; i++) {
        source.next(i);
        await hears(page, i + 1);
        if (i % 2 === 1) connections.at(-1)?.destroy();
      }
      source.complete();
      // Nobody closes it: the server says that there is nothing more.
      await page.waitForFunction('source.readyState === EventSource.CLOSED');
      const numbers = Array.from({ length: 6 }, (_, i) => ['message', String(i)]);
      assert.equal(await heardBy(page), [...numbers, ['end', '']]);
      assert.ok(connections.length >= 4, 'three broke, and the last was told to stop');
      await page.close();
    },
  );

  browser(
    'values come as they are, whatever is in them; names are those of the server',
    async ({ browser }) => {
      const hostile = [
        'x\n\nevent: pwned\ndata: 1',
        'x\r\revent: pwned\rdata: 1',
        '\n: \n',
        'id: 7\u0000',
        '</script>',
      ];
      for (const isRaw of [false, true]) {
        const source = new Subject<string>();
        const { url } = await site(() =>
          toEventSource(
            source,
            isRaw
              ? { data: (text) => text }
              : { event: (text) => (text.startsWith('id: 7') ? 'tick' : undefined) },
          ),
        );
        const page = await visit(browser, url);
        for (const text of hostile) source.next(text);
        await hears(page, hostile.length);
        const heard = await heardBy(page);
        assert.is(heard.length, hostile.length);
        for (const [i, text] of hostile.entries()) {
          const [name, data] = heard[i] as [string, string];
          if (isRaw) assert.equal([name, data], ['message', text.replaceAll('\r', '\n')]);
          else assert.equal([name, JSON.parse(data)], [i === 3 ? 'tick' : 'message', text]);
        }
        await page.close();
      }
    },
  );

  browser('a page that is closed cancels its run', async ({ browser }) => {
    const flow = workflow({ name: 'watched' });
    flow.task('long', { run: () => NEVER });
    const run = flow.run();
    let result: Promise<{ readonly status: string }> | undefined;
    const { url } = await site(() => {
      const events = toEventSource(run, { linger: 1, cancel: true });
      result = run.result();
      return events;
    });
    const page = await visit(browser, url);
    await page.waitForFunction(`heard.some(([, data]) => data.includes('"running"'))`);
    await page.close();
    assert.is((await result)?.status, 'cancelled');
  });
}
browser.run();
