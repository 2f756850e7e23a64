import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Where a worker tells how it is. */
export interface HealthOptions {
  /** 0: any that is free. */
  readonly port: number;
  /** Default `127.0.0.1`; in a container give `0.0.0.0`. */
  readonly host?: string;
}

/** What is told. */
export interface Vitals {
  readonly ready: boolean;
  /** Values by name; names that end in `_total` count up. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** A server that is open. */
export interface Health {
  readonly address: string;
  close(): Promise<void>;
}

/** Serves `/livez`, `/readyz` (503 while it takes nothing) and `/metrics` as Prometheus reads them. */
export function serveHealth(
  { port, host = '127.0.0.1' }: HealthOptions,
  vitals: () => Vitals,
): Promise<Health> {
  const server = createServer(({ method, url }, response) => {
    const { ready, metrics } = vitals();
    const path = url?.split('?')[0];
    const [status, text] =
      method !== 'GET'
        ? [405, 'GET only\n']
        : path === '/livez'
          ? [200, 'ok\n']
          : path === '/readyz'
            ? ready
              ? [200, 'ok\n']
              : [503, 'takes nothing new\n']
            : path === '/metrics'
              ? [200, metricsText(metrics)]
              : [404, 'not found\n'];
    response.writeHead(status as number, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(text);
  });
  return new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(port, host, () => {
      server.unref();
      const address = `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
      const close = (): Promise<void> =>
        new Promise((closed) => {
          server.close(() => closed());
          server.closeAllConnections();
        });
      done({ address, close });
    });
  });
}

function metricsText(metrics: Readonly<Record<string, number>>): string {
  const lines = Object.entries(metrics).flatMap(([name, value]) => [
    `# TYPE ${name.replace(/\{.*/, '')} ${name.includes('_total') ? 'counter' : 'gauge'}`,
    `${name} ${value}`,
  ]);
  return `${lines.join('\n')}\n`;
}
