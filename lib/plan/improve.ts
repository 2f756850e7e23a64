import type { TaskNode } from '../graph/node.js';
import { seededRandom } from '../kernel/random.js';
import { type Played, Rehearsal } from './rehearsal.js';

/** Steps of rehearsal a plan may cost: about 0.15 us each, so 15 ms, and 0.15 % of the time that is planned. */
const mostSteps = 100_000;
const stepsPerMs = 10;

/**
 * Looks for a better order than plain upward rank: plays the plan backward and forward in turn, each time by the
 * times of the last (what may end late in one may start late in the next), then with small random shifts, until the
 * lower bound or the end of the budget is reached. Ranks are only touched where that shortens the plan; then a rank is
 * the time from the planned start of the task to the end, so that ranks of tasks added later compare with it.
 * Always the same for the same plan. Source: K. Y. Li and R. J. Willis, "An iterative scheduling technique for
 * resource-constrained project scheduling", EJOR 56(3), 1992; V. Valls et al., "Justification and RCPSP", EJOR 165(2), 2005.
 */
export function improveRanks(nodes: readonly TaskNode[], slots: number): void {
  const longest = nodes.reduce((most, node) => Math.max(most, node.rank), 0);
  const budget = Math.min(mostSteps, longest * stepsPerMs);
  // Sorting and playing a plan once takes a few steps a task.
  if (nodes.length * 4 > budget) return;
  const search = new Search(nodes, slots, longest, budget);
  const best = search.run();
  if (best === undefined) return;
  const { makespan, starts, order } = best;
  // Tasks that start together keep their order by a difference nobody can measure.
  const tiny = (makespan * 1e-9) / nodes.length;
  for (let k = 0; k < order.length; k++) {
    const i = order[k] as number;
    (nodes[i] as TaskNode).rank = makespan - (starts[i] as number) - k * tiny;
  }
}

class Search {
  readonly #rehearsal: Rehearsal;
  readonly #ranks: Float64Array;
  readonly #durations: Float64Array;
  readonly #bound: number;
  readonly #budget: number;
  #best: Played;
  readonly #first: Played;

  constructor(nodes: readonly TaskNode[], slots: number, longest: number, budget: number) {
    this.#durations = Float64Array.from(nodes, (node) => node.expected);
    this.#ranks = Float64Array.from(nodes, (node) => node.rank);
    this.#rehearsal = new Rehearsal(nodes, this.#durations, slots);
    this.#bound = this.#rehearsal.lowerBound(longest) * (1 + 1e-9);
    this.#budget = budget;
    this.#first = this.#rehearsal.play(
      this.#ranks.map((rank) => -rank),
      'forward',
    );
    this.#best = this.#first;
  }

  /** The best plan found, or undefined where none is better than that of plain ranks. */
  run(): Played | undefined {
    if (!this.#over) this.#descend(this.#first);
    // Latest finish time instead of latest start time: without the task's own duration.
    if (!this.#over)
      this.#descend(this.#forward(this.#ranks.map((rank, i) => (this.#durations[i] as number) - rank)));
    const random = seededRandom(1);
    while (!this.#over) {
      const reach = (0.02 + 0.8 * random() * random()) * this.#best.makespan;
      this.#again(this.#forward(this.#best.starts.map((start) => start + (random() - 0.5) * reach)));
    }
    return this.#best.makespan < this.#first.makespan * (1 - 1e-9) ? this.#best : undefined;
  }

  get #over(): boolean {
    return this.#best.makespan <= this.#bound || this.#rehearsal.steps >= this.#budget;
  }

  /** Backward and forward as long as it helps. */
  #descend(from: Played): void {
    for (let played = from; !this.#over; ) {
      const next = this.#again(played);
      if (next.makespan >= played.makespan) return;
      played = next;
    }
  }

  #again(played: Played): Played {
    const back = this.#rehearsal.play(this.#lastFirst(played), 'backward');
    return this.#forward(this.#lastFirst(back));
  }

  #forward(keys: Float64Array): Played {
    const played = this.#rehearsal.play(keys, 'forward');
    // An equal one is taken too: it leads away from where nothing helps any more.
    if (played.makespan <= this.#best.makespan) this.#best = played;
    return played;
  }

  #lastFirst(played: Played): Float64Array {
    return played.starts.map((start, i) => -(start + (this.#durations[i] as number)));
  }
}
