import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { dataFolder, dataSets } from './data-sets.js';

/** What every request waits for, in ms: the data are as far away as a remote store. */
export const latencyMs = 200;

/** A file server on loopback. */
export interface FileServer {
  readonly url: string;
  close(): void;
}

/** Serves the known data files; the first request for `flaky` is answered with 503 and a wait of 250 ms. */
export async function startFileServer(flaky: string): Promise<FileServer> {
  const known = new Set(dataSets.map((set) => set.file));
  let failed = false;
  const server = createServer(async (request, response) => {
    await pause(latencyMs);
    const file = decodeURIComponent((request.url ?? '/').slice(1));
    // Only names on the list: a path cannot leave the folder.
    if (!known.has(file)) {
      response.writeHead(404).end('no such data set');
    } else if (file === flaky && !failed) {
      failed = true;
      response.writeHead(503, { 'retry-after-ms': '250' }).end('busy');
    } else {
      response.end(await readFile(join(dataFolder(), file)));
    }
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Fetches one file; a refusal becomes an error that carries status and headers, so a retry can obey them. */
export async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal });
  if (response.ok) return response.text();
  const { status, headers } = response;
  throw Object.assign(new Error(`HTTP ${status} from ${new URL(url).pathname}`), { status, headers });
}
