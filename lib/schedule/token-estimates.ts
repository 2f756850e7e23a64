import type { Limiter, LimiterSettings } from '../model/limiter.js';
import { mostTokens } from '../model/limiter.js';
import type { TaskNode } from '../model/node.js';

/** Weight of the newest attempt in what is learnt. */
const weight = 0.3;
/** Types of tasks that are remembered; the oldest goes first. */
const mostTypes = 1_000;

/** A guess, and what it was made from. */
export interface Estimate {
  readonly tokens: number;
  /** Tokens by characters / 4 or by the tokenizer, before correction. 0: the task said its tokens itself. */
  readonly rough: number;
}

/**
 * Guesses how many tokens an attempt will use: those of its inputs as JSON, times what attempts of the same type
 * (else all of them) turned out to use per such token. The prompt around the inputs and the answer are in that ratio.
 */
export class TokenEstimates {
  readonly #ratios = new Map<string, number>();
  #overall: number | undefined;

  guess(node: TaskNode, inputs: unknown, settings: LimiterSettings): Estimate {
    const { data } = node.definition;
    const text = textOf(data === undefined ? inputs : [inputs, data]);
    const counted = settings.countTokens === undefined ? text.length / 4 : settings.countTokens(text);
    const rough = Number.isFinite(counted) && counted > 1 ? counted : 1;
    const ratio = this.#ratios.get(typeOf(node)) ?? this.#overall ?? 1;
    // A guess alone must not make a task impossible.
    const most = mostTokens(settings)?.max ?? Number.POSITIVE_INFINITY;
    return { tokens: Math.min(most, Math.ceil(rough * ratio)), rough };
  }

  /** An attempt guessed from `rough` used `tokens`. */
  learn(node: TaskNode, rough: number, tokens: number): void {
    const ratio = tokens / rough;
    const type = typeOf(node);
    const before = this.#ratios.get(type);
    this.#ratios.set(type, before === undefined ? ratio : before + weight * (ratio - before));
    this.#overall = this.#overall === undefined ? ratio : this.#overall + weight * (ratio - this.#overall);
    if (this.#ratios.size <= mostTypes) return;
    for (const oldest of this.#ratios.keys()) {
      this.#ratios.delete(oldest);
      break;
    }
  }
}

function typeOf(node: TaskNode): string {
  return node.definition.type ?? node.id;
}

/** Inputs as text; those that cannot be written count as none. */
function textOf(inputs: unknown): string {
  try {
    return JSON.stringify(inputs) ?? '';
  } catch {
    return '';
  }
}

const estimates = new WeakMap<Limiter, TokenEstimates>();

/** What has been learnt with a limiter, by all runs that share it. */
export function estimatesOf(limiter: Limiter): TokenEstimates {
  let found = estimates.get(limiter);
  if (found === undefined) {
    found = new TokenEstimates();
    estimates.set(limiter, found);
  }
  return found;
}
