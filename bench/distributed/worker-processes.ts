import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { QueueConnection } from '../../dist/executors/bullmq.js';

/** What a worker process is started with. */
export interface WorkerSettings {
  readonly connection: QueueConnection;
  /** Prefix of the queues of rxhive. */
  readonly name: string;
  /** Queue of the worker without rxhive. */
  readonly bare: string;
  readonly slots: number;
}

/** What a worker process answers. */
export type Asked = 'processor time';

/** Worker processes that end with this one. */
export class WorkerProcesses {
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  static async start(count: number, settings: WorkerSettings): Promise<WorkerProcesses> {
    const file = fileURLToPath(new URL('worker.ts', import.meta.url));
    const children = Array.from({ length: count }, () =>
      fork(file, [JSON.stringify(settings)], { execArgv: ['--import', 'tsx'] }),
    );
    await Promise.all(children.map((child) => once(child, 'message')));
    return new WorkerProcesses(children);
  }

  /** Ms of processor time that all of them have used. */
  async processorTime(): Promise<number> {
    const each = this.#children.map(async (child) => {
      child.send('processor time' satisfies Asked);
      const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage];
      return (user + system) / 1_000;
    });
    return (await Promise.all(each)).reduce((sum, one) => sum + one, 0);
  }

  stop(): void {
    for (const child of this.#children) child.disconnect();
  }
}
