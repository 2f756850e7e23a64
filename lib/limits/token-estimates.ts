import type { TaskNode } from '../graph/node.js';
import { getOrInsert } from '../kernel/get-or-insert.js';
import { callForNumber } from '../kernel/guard.js';
import type { Limiter, LimiterSettings } from '../model/limiter.js';
import { mostTokens } from '../model/limiter.js';

/** Weight of the newest attempt in what is learnt. */
const weight = 0.3;
/** Types of tasks that are remembered; the oldest goes first. */
const mostTypes = 1_000;
/** Tokens that an attempt may use of which nobody knows anything. */
const unheardOf = 100_000;
/** Tokens per token of inputs at most, as far as sizes of inputs tell. */
const steepest = 20;

/** Share of a window that an attempt of an unseen type is taken to need at most, where its inputs do not say more. */
const unseenShare = 1 / 4;

/** What attempts of one type used, as a line over the size of their inputs; the newer the heavier. */
class Line {
  #count = 0;
  #rough = 0;
  #used = 0;
  #spread = 0;
  #together = 0;

  add(rough: number, used: number): void {
    this.#count += 1;
    const share = Math.max(weight, 1 / this.#count);
    const more = rough - this.#rough;
    const rest = used - this.#used;
    this.#rough += share * more;
    this.#used += share * rest;
    this.#spread = (1 - share) * (this.#spread + share * more * more);
    this.#together = (1 - share) * (this.#together + share * more * rest);
  }

  /** Where inputs have all been of one size, a token more of them is a token more. */
  at(rough: number): number {
    const told = Math.sqrt(this.#spread) > this.#rough / 100;
    const slope = told ? Math.min(steepest, Math.max(0, this.#together / this.#spread)) : 1;
    return Math.max(1, this.#used + slope * (rough - this.#rough));
  }
}

/**
 * Guesses how many tokens an attempt will use: those of its inputs as JSON, corrected by what attempts of the same type
 * turned out to use. A type that has not been seen is taken at its inputs, whatever others needed per token of theirs.
 * As inputs may be the smaller part of it, as much is set aside while its first attempt runs as any attempt has used
 * before, up to a share of the window; and while none has told anything, only few go at once.
 */
export class TokenEstimates {
  readonly #types = new Map<string, Line>();
  /** Attempts of unseen types under way, and those that ended without telling anything. */
  #trials = 0;
  #unreported = 0;
  /** The most an attempt has used, and what one uses on the whole. */
  #most = 0;
  readonly #all = new Line();
  #waiting = new Set<() => void>();

  /** Tokens of the inputs by characters / 4 or by the tokenizer, at least 1. @throws RxhiveError CALLBACK_FAILED */
  rough(node: TaskNode, inputs: unknown, settings: LimiterSettings): number {
    const { data } = node.definition;
    const text = textOf(data === undefined ? inputs : [inputs, data]);
    const { countTokens } = settings;
    const counted =
      countTokens === undefined
        ? text.length / 4
        : callForNumber('limiter.countTokens', () => countTokens(text));
    return Math.max(1, counted);
  }

  /** Tokens to set aside for an attempt with inputs of `rough` tokens. */
  guess(node: TaskNode, rough: number, settings: LimiterSettings): number {
    const most = mostTokens(settings)?.max ?? Number.POSITIVE_INFINITY;
    const wanted =
      this.#types.get(typeOf(node))?.at(rough) ?? Math.max(rough, Math.min(this.#most, most * unseenShare));
    // A guess alone must not make a task impossible.
    return Math.min(most, Math.ceil(wanted));
  }

  /** Tokens an attempt uses, of whatever type. */
  get usual(): number {
    return this.#all.at(0);
  }

  /** Has no attempt of its type told what it used? */
  isUnseen(node: TaskNode): boolean {
    return !this.#types.has(typeOf(node));
  }

  /** May one more attempt of an unseen type go, with `left` tokens in the window? */
  mayTry(left: number): boolean {
    if (this.#most > 0) return true;
    return this.#trials < Math.max(1, Math.floor(left / unheardOf)) + this.#unreported;
  }

  /** `opened` is called once, when another one may be tried. */
  wait(opened: () => void): void {
    this.#waiting.add(opened);
  }

  forget(opened: () => void): void {
    this.#waiting.delete(opened);
  }

  /** An attempt of an unseen type begins. Call what it returns when the attempt is over, or waits for others. */
  try(): () => void {
    this.#trials += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#trials -= 1;
      this.#wake();
    };
  }

  /** An attempt of an unseen type has failed without reporting its usage. */
  failed(): void {
    this.#unreported += 1;
  }

  /** An attempt guessed from `rough` used `tokens`. */
  learn(node: TaskNode, rough: number, tokens: number): void {
    if (this.isUnseen(node)) this.#unreported = 0;
    getOrInsert(this.#types, typeOf(node), () => new Line()).add(rough, tokens);
    this.#most = Math.max(this.#most, tokens);
    this.#all.add(0, tokens);
    this.#wake();
    if (this.#types.size <= mostTypes) return;
    for (const oldest of this.#types.keys()) {
      this.#types.delete(oldest);
      break;
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    if (waiting.size === 0) return;
    this.#waiting = new Set();
    for (const opened of waiting) opened();
  }
}

/** Tasks that differ by a number in their id are of one type. */
function typeOf({ definition, id }: TaskNode): string {
  return definition.type ?? id.replaceAll(/\d+/g, '#');
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
  return getOrInsert(estimates, limiter, () => new TokenEstimates());
}
