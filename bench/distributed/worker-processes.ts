import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { QueueConnection } from '../../dist/executors/bullmq.js';

/** What a worker process is started with. */
export interface WorkerSettings {
  readonly connection: QueueConnection;
  /** Prefix of the queues of rxhive. */
  readonly name: string;
  readonly slots: number;
  /** Workers in the process. Default 1. */
  readonly workers?: number;
  /** Queue of a worker of BullMQ without rxhive. Default: there is none. */
  readonly bare?: string;
}

/** What a worker process says. Times are of the machine's clock, in ms. */
export type Said =
  | { readonly kind: 'ready' }
  | { readonly kind: 'processor time'; readonly ms: number }
  /** The attempt `hold` of a run has begun, or its signal has come. */
  | { readonly kind: 'begun' | 'aborted'; readonly runId: string; readonly at: number };

/** What it is asked. */
export type Asked = 'processor time';

/** A worker process, that ends with this one. */
export class WorkerProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, hear: (said: Said, by: WorkerProcess) => void) {
    this.#child = child;
    child.on('message', (said: Said) => hear(said, this));
  }

  /** Resolves when its workers take orders. `hear` is told of all that it says. */
  static async start(
    settings: WorkerSettings,
    hear: (said: Said, by: WorkerProcess) => void = () => undefined,
  ): Promise<WorkerProcess> {
    const file = fileURLToPath(new URL('worker.ts', import.meta.url));
    const child = fork(file, [JSON.stringify(settings)], { execArgv: ['--import', 'tsx'] });
    const made = new WorkerProcess(child, hear);
    await made.#said('ready');
    return made;
  }

  /** Ms of processor time that it has used. */
  async processorTime(): Promise<number> {
    this.#child.send('processor time' satisfies Asked);
    return (await this.#said('processor time')).ms;
  }

  /** As a machine that loses its power. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #said<K extends Said['kind']>(kind: K): Promise<Extract<Said, { kind: K }>> {
    return new Promise((done, failed) => {
      const ended = (): void => failed(new Error('A worker process has ended.'));
      const hear = (said: Said): void => {
        if (said.kind !== kind) return;
        this.#child.off('message', hear).off('exit', ended);
        done(said as Extract<Said, { kind: K }>);
      };
      this.#child.on('message', hear).once('exit', ended);
    });
  }
}

/** So many alike. */
export function startWorkers(count: number, settings: WorkerSettings): Promise<readonly WorkerProcess[]> {
  return Promise.all(Array.from({ length: count }, () => WorkerProcess.start(settings)));
}
