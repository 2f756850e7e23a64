import dagre from '@dagrejs/dagre';

/** Boxes and arrows to place; sizes in px. */
export interface LayoutOrder {
  readonly id: number;
  readonly nodes: readonly { readonly key: string; readonly width: number; readonly height: number }[];
  readonly edges: readonly { readonly from: string; readonly to: string }[];
  readonly down: boolean;
}

/** Where they go: centre of each box, points of each arrow in the order given. */
export interface Placed {
  readonly id: number;
  readonly width: number;
  readonly height: number;
  readonly nodes: Readonly<Record<string, { readonly x: number; readonly y: number }>>;
  readonly edges: readonly (readonly { readonly x: number; readonly y: number }[])[];
}

/** Layered layout. Runs in a worker: a thousand boxes take a second. */
function place({ id, nodes, edges, down }: LayoutOrder): Placed {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: down ? 'TB' : 'LR', nodesep: 14, ranksep: 44, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { key, width, height } of nodes) graph.setNode(key, { width, height });
  edges.forEach(({ from, to }, i) => {
    graph.setEdge(from, to, {}, String(i));
  });
  dagre.layout(graph);
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
  return { id, width, height, nodes: Object.fromEntries(placed), edges: points };
}

addEventListener('message', (message: MessageEvent<LayoutOrder>) => {
  postMessage(place(message.data));
});
