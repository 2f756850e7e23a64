import type { QueueConnection, WorkerAgent } from '../executors/bullmq.js';
import { storeAt } from '../stores/at-path.js';
import { command } from './command.js';
import { aborted, interruptible } from './interrupt.js';
import { exportsOf, isRunnable } from './load.js';
import { flag, list, text, wholeNumber } from './option.js';
import { WrongCall } from './wrong-call.js';

/**
 * `rxhive worker MODULE`: does what controllers order of the agents that a module exports, until SIGTERM or Ctrl-C: then it
 * takes nothing new, and ends when what is under way has.
 */
export const worker = command({
  name: 'worker',
  help: 'does what controllers order of the agents of a module, until SIGTERM or Ctrl-C',
  words: [{ name: 'MODULE', missing: 'give the module to load, for example: rxhive worker agents.js' }],
  options: {
    redis: text(
      'URL',
      'where the queues are; by default RXHIVE_REDIS, which other users of the machine do not see',
    ),
    postgres: text('URL', 'the same for PostgreSQL; by default RXHIVE_POSTGRES'),
    name: text('NAME', 'prefix of the queues, as the controllers have it; by default rxhive'),
    concurrency: wholeNumber('attempts at once; by default 16', 1),
    labels: list('SET', 'a set of labels it serves, such as gpu+region=eu; may be given several times'),
    for: text('VERSION', 'version of the agents; orders of others go to other workers; by default 1'),
    store: text('STORE', 'where large values are, as the controllers have it'),
    'lost-after': wholeNumber('ms without a sign of life until it is taken for dead; by default 5000', 1_000),
    drain: wholeNumber('ms it waits for what is under way when it ends; by default 30000', 0),
    port: wholeNumber('port of /livez, /readyz and /metrics; by default none', 0, 65_535),
    host: text('HOST', 'address of that port; by default 127.0.0.1'),
    migrate: flag('makes the tables of BullMQ in PostgreSQL first, or brings them up to date'),
  },
  does: async ({ words: [module], values, out }) => {
    // Loaded here: it starts a thread from a file beside it.
    const { bullmqTables, createWorker } = await import('../executors/bullmq.js');
    const agents = agentsIn(await exportsOf(module));
    if (agents === undefined)
      throw new WrongCall(
        `${module} exports no agents: export const agents = { name: (inputs, ctx) => ... }`,
      );
    const connection = connectionOf(values.redis, values.postgres);
    if (values.migrate) await bullmqTables(connection);
    const made = await createWorker({
      agents,
      connection,
      onError: (error) => out.note(`rxhive worker: ${error.message}`),
      ...(values.name !== undefined && { name: values.name }),
      ...(values.concurrency !== undefined && { concurrency: values.concurrency }),
      ...(values.labels.length > 0 && { labels: values.labels }),
      ...(values.for !== undefined && { version: values.for }),
      ...(values.store !== undefined && { store: storeAt(values.store) }),
      ...(values['lost-after'] !== undefined && { lostAfter: values['lost-after'] }),
      ...(values.drain !== undefined && { drain: values.drain }),
      ...(values.port !== undefined && {
        health: { port: values.port, ...(values.host !== undefined && { host: values.host }) },
      }),
    });
    const health = made.health === undefined ? '' : `, health at ${made.health}`;
    out.note(`rxhive worker ${made.facts.id}: ${Object.keys(agents).join(', ')}${health}`);
    return interruptible(out, async ({ signal }) => {
      await aborted(signal);
      await made.drain();
      return 0;
    });
  },
});

function connectionOf(redis: string | undefined, postgres: string | undefined): QueueConnection {
  if (redis !== undefined && postgres !== undefined)
    throw new WrongCall('give --redis or --postgres, not both');
  if (redis !== undefined) return { redis };
  if (postgres !== undefined) return { postgres };
  const { RXHIVE_REDIS, RXHIVE_POSTGRES } = process.env;
  if (RXHIVE_REDIS !== undefined) return { redis: RXHIVE_REDIS };
  if (RXHIVE_POSTGRES !== undefined) return { postgres: RXHIVE_POSTGRES };
  throw new WrongCall(
    'where are the queues? Set RXHIVE_REDIS or RXHIVE_POSTGRES, or give --redis or --postgres',
  );
}

/** The export `agents`, else all functions and agents that are exported. */
function agentsIn(
  exported: Readonly<Record<string, unknown>>,
): Readonly<Record<string, WorkerAgent>> | undefined {
  const { agents } = exported;
  const all = typeof agents === 'object' && agents !== null ? agents : exported;
  const found = Object.entries(all).filter((one): one is [string, WorkerAgent] => isAgent(one[1]));
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

function isAgent(one: unknown): one is WorkerAgent {
  if (typeof one === 'function') return true;
  if (typeof one !== 'object' || one === null || isRunnable(one)) return false;
  const { run, task } = one as { readonly run?: unknown; readonly task?: unknown };
  return typeof run === 'function' || typeof task === 'function';
}
