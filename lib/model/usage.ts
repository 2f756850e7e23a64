import { getOrInsert } from '../kernel/get-or-insert.js';
/** Price of a model per million tokens, in a currency of your choice: the numbers carry none. */
export interface Price {
  readonly input: number;
  readonly output: number;
}

/** What a task, group, model or run has used. */
export interface UsageReport {
  /** Attempts, those included that failed, were stopped, ran again after a conflict, or lost a race. */
  readonly calls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** By `prices`, or as the body reported it. */
  readonly cost: number;
  /** Tokens of `inputTokens` and `outputTokens` for which there was no price: they are not in `cost`. */
  readonly unpricedTokens: number;
}

/** A sum of usage that grows. */
export class Spending implements UsageReport {
  calls = 0;
  inputTokens = 0;
  outputTokens = 0;
  cost = 0;
  unpricedTokens = 0;
  /** The same by model, where one was named; its `calls` are reports of usage. */
  models: Map<string, Spending> | undefined;

  get tokens(): number {
    return this.inputTokens + this.outputTokens;
  }

  add(other: UsageReport & { readonly models?: ReadonlyMap<string, Spending> | undefined }): this {
    this.calls += other.calls;
    this.inputTokens += other.inputTokens;
    this.outputTokens += other.outputTokens;
    this.cost += other.cost;
    this.unpricedTokens += other.unpricedTokens;
    for (const [model, part] of other.models ?? []) this.of(model).add(part);
    return this;
  }

  /** The part of one model. */
  of(model: string): Spending {
    this.models ??= new Map();
    return getOrInsert(this.models, model, () => new Spending());
  }

  /** Plain numbers, for reports. */
  get report(): UsageReport {
    const { calls, inputTokens, outputTokens, cost, unpricedTokens } = this;
    return { calls, inputTokens, outputTokens, cost, unpricedTokens };
  }
}
