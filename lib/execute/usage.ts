import type { TaskNode } from '../graph/node.js';
import type { Watch } from '../graph/ports.js';
import { inspect, RxhiveError } from '../kernel/errors.js';
import type { Usage } from '../model/context.js';
import { type Price, Spending } from '../model/usage.js';

const amounts = new Set(['inputTokens', 'outputTokens', 'cost']);

/** Books what a body reports, at its price. @throws RxhiveError INVALID_OPTION */
export function report(
  node: TaskNode,
  usage: Usage,
  prices: { readonly [model: string]: Price } | undefined,
  watch: Watch,
): void {
  check(usage);
  const { inputTokens = 0, outputTokens = 0, model } = usage;
  const used = new Spending();
  used.inputTokens = inputTokens;
  used.outputTokens = outputTokens;
  const price = model !== undefined && Object.hasOwn(prices ?? {}, model) ? prices?.[model] : undefined;
  const cost =
    usage.cost ??
    (price === undefined ? undefined : (inputTokens * price.input + outputTokens * price.output) / 1_000_000);
  used.cost = cost ?? 0;
  if (cost === undefined) used.unpricedTokens = used.tokens;
  if (model !== undefined) used.of(model).add({ ...used.report, calls: 1 });
  node.spend(used);
  for (const listener of node.extra?.onUsage ?? []) listener(usage);
  if (!watch.active) return;
  watch.emit({
    type: 'usage',
    reason: 'reported',
    taskId: node.id,
    attempt: node.attempt,
    inputTokens,
    outputTokens,
    ...(model === undefined ? {} : { model }),
    ...(cost === undefined ? {} : { cost }),
  });
}

function check(usage: Usage): void {
  if (typeof usage !== 'object' || usage === null)
    throw new RxhiveError('INVALID_OPTION', `ctx.usage got ${inspect(usage)}; give { inputTokens, ... }.`);
  for (const [name, value] of Object.entries(usage)) {
    if (value === undefined) continue;
    const fits = amounts.has(name)
      ? typeof value === 'number' && Number.isFinite(value) && value >= 0
      : name === 'model' && typeof value === 'string' && value !== '';
    if (fits) continue;
    const cure = amounts.has(name)
      ? 'give a number from 0'
      : name === 'model'
        ? 'give the name of a model'
        : 'use inputTokens, outputTokens, model and cost';
    throw new RxhiveError('INVALID_OPTION', `ctx.usage got ${inspect(name)} ${inspect(value)}; ${cure}.`);
  }
}

/** Tells those who watch what a body says. */
export function tell({ id: taskId }: TaskNode, message: string, data: unknown, watch: Watch): void {
  if (!watch.active) return;
  watch.emit({ type: 'log', reason: 'message', taskId, message, ...(data === undefined ? {} : { data }) });
}
