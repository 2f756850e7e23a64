/** A graph as a list: for each task the numbers of the tasks it depends on. */
export type Graph = readonly (readonly number[])[];

/** Seeded numbers in [0, 1), the same in every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

/** `fan`: n tasks into one. `layered`: 100 layers, 3 dependencies each. `chain`: one after the other. */
export function graphOf(shape: string, n: number): Graph {
  if (shape === 'chain') return Array.from({ length: n }, (_, i) => (i === 0 ? [] : [i - 1]));
  if (shape === 'fan')
    return [...Array.from({ length: n }, () => []), Array.from({ length: n }, (_, i) => i)];
  const random = seeded(7);
  const width = Math.max(1, Math.floor(n / 100));
  return Array.from({ length: n }, (_, i) => {
    const layer = Math.floor(i / width);
    if (layer === 0) return [];
    const before = new Set<number>();
    for (let k = 0; k < 3; k++) before.add((layer - 1) * width + Math.floor(random() * width));
    return [...before];
  });
}

/** An uneven random graph with durations in ms: each task depends on up to 3 of the 12 before it. */
export function uneven(seed: number, n: number): { graph: Graph; ms: number[] } {
  const random = seeded(seed);
  const graph = Array.from({ length: n }, (_, i) => {
    const before = new Set<number>();
    for (let k = Math.floor(random() * 4); k > 0 && i > 0; k--) {
      before.add(Math.max(0, i - 1 - Math.floor(random() * 12)));
    }
    return random() < 0.3 ? [] : [...before];
  });
  const normal = (): number => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
  return { graph, ms: graph.map(() => Math.min(400, Math.round(20 * Math.exp(normal())))) };
}

/** Longest path through the graph in ms. */
export function criticalPath(graph: Graph, ms: readonly number[]): number {
  const end: number[] = [];
  graph.forEach((before, i) => {
    end.push(Math.max(0, ...before.map((j) => end[j] ?? 0)) + (ms[i] ?? 0));
  });
  return Math.max(...end);
}
