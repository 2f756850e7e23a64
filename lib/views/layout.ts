import { outerOf } from '../observe/export.js';

/** The part of package @dagrejs/dagre that is used; its own types ask for another resolution of modules. */
export interface Dagre {
  readonly graphlib: {
    readonly Graph: new (options: { readonly multigraph: boolean; readonly compound: boolean }) => DagreGraph;
  };
  layout(graph: DagreGraph): unknown;
}

interface DagreGraph {
  setGraph(label: object): unknown;
  graph(): { readonly width?: number; readonly height?: number };
  setDefaultEdgeLabel(label: () => object): unknown;
  setNode(key: string, label: object): unknown;
  setParent(key: string, frame: string): unknown;
  setEdge(from: string, to: string, label: object, name: string): unknown;
  node(key: string): unknown;
  edge(edge: { readonly v: string; readonly w: string; readonly name: string }): unknown;
}

/** Boxes and arrows to place; sizes in px. */
export interface LayoutOrder {
  readonly nodes: readonly {
    readonly key: string;
    readonly width: number;
    readonly height: number;
    /** The nested workflow whose frame it is in. */
    readonly within?: string | undefined;
  }[];
  readonly edges: readonly { readonly from: string; readonly to: string }[];
  readonly down: boolean;
}

/** The frame around the tasks of a nested workflow: centre and size. */
export interface PlacedFrame {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where they go: centre of each box, points of each arrow in the order given, frames, the outer first. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly nodes: Readonly<Record<string, { readonly x: number; readonly y: number }>>;
  readonly edges: readonly (readonly { readonly x: number; readonly y: number }[])[];
  readonly frames: readonly PlacedFrame[];
}

/** Layered layout, by the library that is given. A thousand boxes take a second. */
export function layout(library: Dagre, { nodes, edges, down }: LayoutOrder): Layout {
  const graph = new library.graphlib.Graph({ multigraph: true, compound: true });
  graph.setGraph({ rankdir: down ? 'TB' : 'LR', nodesep: 14, ranksep: 44, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { key, width, height } of nodes) graph.setNode(key, { width, height });
  const names = new Set(nodes.flatMap(({ within }) => within ?? []));
  for (const name of names) graph.setNode(`frame ${name}`, {});
  for (const name of names) {
    const outer = outerOf(name, names);
    if (outer !== undefined) graph.setParent(`frame ${name}`, `frame ${outer}`);
  }
  for (const { key, within } of nodes) if (within !== undefined) graph.setParent(key, `frame ${within}`);
  edges.forEach(({ from, to }, i) => {
    graph.setEdge(from, to, {}, String(i));
  });
  library.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  const placed = nodes.map(({ key }) => {
    const { x, y } = graph.node(key) as { x: number; y: number };
    return [key, { x, y }] as const;
  });
  const points = edges.map(({ from, to }, i) => {
    const edge = graph.edge({ v: from, w: to, name: String(i) }) as
      | { points?: { x: number; y: number }[] }
      | undefined;
    return edge?.points ?? [];
  });
  const frames = [...names]
    .sort((a, b) => a.length - b.length)
    .map((name) => ({ name, ...(graph.node(`frame ${name}`) as Omit<PlacedFrame, 'name'>) }));
  // Of nothing the library says -Infinity.
  const size = (px: number): number => (Number.isFinite(px) ? px : 0);
  return {
    width: size(width),
    height: size(height),
    nodes: Object.fromEntries(placed),
    edges: points,
    frames,
  };
}

/** The points of an arrow as a path of SVG. */
export function curve(points: readonly { readonly x: number; readonly y: number }[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  const last = rest.at(-1) ?? first;
  const middle = rest.slice(0, -1).map((point, i) => {
    const next = rest[i + 1] ?? last;
    return `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`;
  });
  return `M${first.x} ${first.y}${middle.join('')}L${last.x} ${last.y}`;
}
