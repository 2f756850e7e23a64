import { inspect, RxhiveError } from '../kernel/errors.js';
import { type QueueConnection, QueueServer } from './bullmq-connection.js';
import { queueName } from './bullmq-queues.js';
import { BullmqTransport } from './bullmq-transport.js';
import { type PayloadStore, Payloads } from './payloads.js';
import { checkRemoteOptions, createRemote, type Remote } from './remote.js';
import { type HealthOptions, serveHealth } from './worker-health.js';

export type { AgentInputs, AgentReturns } from './agent-types.js';
export type { QueueConnection } from './bullmq-connection.js';
export { createWorker, type RxWorker, type WorkerOptions } from './bullmq-worker.js';
export type { PayloadStore } from './payloads.js';
export type { Remote, RemoteAgentOptions } from './remote.js';
export type { PresentWorker } from './transport.js';
export type { WorkerAgent } from './worker-attempts.js';
export type { WorkerContext } from './worker-context.js';
export type { HealthOptions } from './worker-health.js';

/** How a controller reaches workers. */
export interface BullmqOptions {
  /** Where the queues are; the same as the workers'. */
  readonly connection: QueueConnection;
  /** Prefix of all queues, the same as the workers'. 1 to 20 letters, digits, `_` or `-`. Default `rxhive`. */
  readonly name?: string;
  /** Where large values are kept, the same store as the workers'. Default: they travel with their messages. */
  readonly store?: PayloadStore;
  /** Characters of a value that still travel with its message. A number from 0. Default 65,536. */
  readonly inline?: number;
  /** Attempts at once for each kind of worker. Whole number from 1. Default: live, what the workers offer. */
  readonly slots?: number;
  /** Orders beyond the free slots, for each worker: they hide the way to it. Whole number from 0. Default 1. */
  readonly ahead?: number;
  /** Ms without a sign of life after which a worker is taken for dead. From 1,000. Default 5,000; the same as the workers'. */
  readonly lostAfter?: number;
  /** Serves `/livez`, `/readyz` and `/metrics` ({@link Remote.metrics}) over HTTP. Default: no. */
  readonly health?: HealthOptions;
  /** Told when the server cannot be reached, or the port of `health` is taken; at most once a minute. It is tried again meanwhile. Default: one warning on stderr. */
  readonly onError?: (error: RxhiveError) => void;
}

/**
 * Executors whose attempts are made by workers on other machines, started with {@link createWorker} or `rxhive worker`:
 *
 * ```ts
 * const remote = bullmq({ connection: { redis: 'redis://localhost:6379' } });
 * const { summarise } = remote.agents<typeof agents>(); // import type { agents } from './agents.js'
 * flow.task('summary', { dependencies: { text }, executor: summarise, timeout: 60_000 });
 * ```
 *
 * The graph, state, retries, priorities and limits stay in this process. Close it when no run uses it any more.
 * @throws RxhiveError INVALID_OPTION
 */
export function bullmq(options: BullmqOptions): Remote {
  const {
    connection,
    name = 'rxhive',
    store,
    inline = 65_536,
    slots,
    ahead,
    lostAfter = 5_000,
    onError,
    health,
  } = options;
  queueName(name);
  if (!(Number.isFinite(inline) && inline >= 0))
    throw new RxhiveError('INVALID_OPTION', `inline is ${inspect(inline)}; give a number from 0.`);
  if (!(Number.isFinite(lostAfter) && lostAfter >= 1_000))
    throw new RxhiveError('INVALID_OPTION', `lostAfter is ${inspect(lostAfter)}; give ms from 1,000.`);
  const wanted = {
    name,
    payloads: new Payloads(store, inline),
    ...(slots !== undefined && { slots }),
    ...(ahead !== undefined && { ahead }),
  };
  // Before anything is connected.
  checkRemoteOptions(wanted);
  const server = new QueueServer(connection, onError, 12);
  const remote = createRemote(new BullmqTransport(server, name, lostAfter), wanted);
  return health === undefined ? remote : withHealth(remote, health, onError);
}

function withHealth(remote: Remote, options: HealthOptions, onError: BullmqOptions['onError']): Remote {
  const served = serveHealth(options, () => ({ ready: true, metrics: remote.metrics() })).catch(
    (cause: Error) => {
      const message = `The port of health cannot be used: ${cause.message}.`;
      onError?.(new RxhiveError('INVALID_OPTION', message, { cause }));
    },
  );
  const close = remote.close.bind(remote);
  return Object.assign(remote, {
    close: async () => {
      await (await served)?.close();
      await close();
    },
  });
}

/**
 * Makes the tables of BullMQ in PostgreSQL, in schema `bullmq`, or brings them up to date; with Redis there is nothing to do.
 * Run it once, before workers and controllers start.
 * @throws RxhiveError INVALID_OPTION, QUEUE_FAILED
 */
export async function bullmqTables(connection: QueueConnection): Promise<void> {
  const server = new QueueServer(connection, undefined, 0);
  try {
    await server.migrate();
  } finally {
    await server.close();
  }
}
