import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import {
  criticalPath,
  edgeKind,
  type GraphNode,
  graphPicture,
  isConditional,
  statusOf,
  textOf,
} from '../../views/graph-view.js';
import { curve, type LayoutOrder } from '../../views/layout.js';
import type { RunView } from '../../views/run-view.js';
import { statusStyles } from '../../views/status-style.js';
import { escapeControl, short } from '../../views/text.js';
import { html } from './html.js';
import type { Placed } from './layout-worker.js';

declare const layoutWorkerCode: string;

const height = 34;
const widthOf = (node: GraphNode): number => 44 + textOf(node).length * 7.2;

function useLayout(order: LayoutOrder, version: string): Placed | undefined {
  const [placed, setPlaced] = useState<Placed>();
  const worker = useRef<Worker | undefined>(undefined);
  const asked = useRef(0);
  useEffect(() => {
    const address = URL.createObjectURL(new Blob([layoutWorkerCode], { type: 'text/javascript' }));
    worker.current = new Worker(address);
    worker.current.onmessage = (message: MessageEvent<Placed>) => {
      if (message.data.id === asked.current) setPlaced(message.data);
    };
    return () => {
      worker.current?.terminate();
      URL.revokeObjectURL(address);
    };
  }, []);
  useEffect(() => {
    asked.current += 1;
    worker.current?.postMessage({ ...order, id: asked.current });
  }, [version]);
  return placed;
}

/** The graph while it runs: boxes by status, equal tasks folded, the critical path drawn strong. */
export function Graph({
  view,
  select,
  selected,
}: {
  view: RunView;
  select: (id: string) => void;
  selected: string;
}) {
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const [scale, setScale] = useState(1);
  const down = innerWidth < 700;
  const version = `${view.runId} ${view.planVersion} ${opened.size} ${down}`;
  const picture = useMemo(() => graphPicture(view, opened, down ? 8 : 50), [version]);
  const nodes = picture.nodes.map((node) => ({
    key: node.key,
    within: node.within,
    width: widthOf(node),
    height,
  }));
  const placed = useLayout({ nodes, edges: picture.edges, down }, version);
  const path = criticalPath(view);
  const scroll = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = scroll.current;
    if (box === null || placed === undefined || placed.width === 0) return;
    // As large as fits, but never so small that names cannot be read; the middle of the first layer first.
    const fit = Math.min(1, (box.clientWidth - 4) / placed.width, (box.clientHeight - 4) / placed.height);
    setScale(Math.max(0.6, fit));
    if (down) box.scrollLeft = (placed.width * Math.max(0.6, fit) - box.clientWidth) / 2;
    else box.scrollTop = (placed.height * Math.max(0.6, fit) - box.clientHeight) / 2;
  }, [placed === undefined || placed.width === 0, view.runId]);
  if (view.tasks.size === 0) return html`<p class="empty">No tasks yet.</p>`;
  if (placed === undefined)
    return html`<p class="empty" aria-live="polite">Placing ${picture.nodes.length} boxes…</p>`;
  const onPath = (key: string): boolean =>
    picture.nodes.find((one) => one.key === key)?.tasks.some(({ id }) => path.has(id)) === true;
  const strong = new Set(picture.nodes.filter(({ key }) => onPath(key)).map(({ key }) => key));
  const open = (node: GraphNode): void => {
    if (node.tasks.length === 1) select(node.tasks[0]?.id ?? '');
    else setOpened(new Set([...opened, node.key]));
  };
  return html`<section class="graph" aria-label="graph of tasks">
    <div class="tools">
      <button onClick=${() => setScale(scale * 1.25)} aria-label="larger">+</button>
      <button onClick=${() => setScale(scale / 1.25)} aria-label="smaller">−</button>
      <button onClick=${() => setScale(1)}>actual size</button>
      ${opened.size > 0 && html`<button onClick=${() => setOpened(new Set())}>fold equal tasks</button>`}
      <span class="hint">${picture.nodes.length} boxes, ${view.tasks.size} tasks; the critical path is drawn strong</span>
    </div>
    <div class="scroll" ref=${scroll} tabindex="0" aria-label="picture, scrolls">
      <svg width=${placed.width * scale} height=${placed.height * scale} viewBox="0 0 ${placed.width} ${placed.height}">
        <defs>
          <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M0 0L8 4L0 8z" class="tip" />
          </marker>
        </defs>
        ${placed.frames.map(
          ({
            name,
            x,
            y,
            width,
            height: high,
          }) => html`<g key=${`frame ${name}`} class="frame" transform="translate(${x - width / 2} ${y - high / 2})">
            <rect width=${width} height=${high} rx="10" />
            <text x="8" y="14">${short(name, 40)}</text>
          </g>`,
        )}
        ${picture.edges.map(
          ({ from, to, mode }, i) => html`<path
            key=${`${from}>${to}>${mode}`}
            class=${edgeKind(mode, strong.has(from) && strong.has(to))}
            d=${curve(placed.edges[i] ?? [])}
            marker-end="url(#tip)"
          ><title>${escapeControl(mode)}</title></path>`,
        )}
        ${picture.nodes.map((node, i) => {
          const at = placed.nodes[node.key];
          if (at === undefined) return null;
          const status = statusOf(node);
          const width = nodes[i]?.width ?? 80;
          const many = node.tasks.length > 1;
          return html`<g
            key=${node.key}
            class="box ${status} ${strong.has(node.key) ? 'strong' : ''} ${node.tasks.some(({ id }) => id === selected) ? 'selected' : ''}"
            transform="translate(${at.x - width / 2} ${at.y - height / 2})"
            role="button"
            tabindex="0"
            aria-label="${many ? `${node.label}, open` : `${short(node.label)}, ${status}`}"
            onClick=${() => open(node)}
            onKeyDown=${(event: KeyboardEvent) => {
              if (event.key !== 'Enter' && event.key !== ' ') return;
              event.preventDefault();
              open(node);
            }}
          >
            <title>${short(node.label, 300)}${node.group === undefined ? '' : ` in ${short(node.group)}`}: ${status}</title>
            <rect width=${width} height=${height} rx=${isConditional(node) ? height / 2 : 7} />
            ${many && shares(node, width)}
            <text x="10" y="21"><tspan class="sign">${statusStyles[status].sign}</tspan><tspan dx="6">${textOf(node)}</tspan></text>
          </g>`;
        })}
      </svg>
    </div>
  </section>`;
}

/** A bar along the foot of a folded box: how many are in which status. */
function shares(node: GraphNode, width: number): unknown {
  const counts = new Map<string, number>();
  for (const { status } of node.tasks) counts.set(status, (counts.get(status) ?? 0) + 1);
  const small = [...counts].sort(([, a], [, b]) => a - b);
  let x = 4;
  return small.map(([status, n]) => {
    const part = Math.max(3, ((width - 8) * n) / node.tasks.length);
    const bar = html`<rect class="share ${status}" x=${x} y=${height - 6} width=${part} height="4"><title>${n} ${status}</title></rect>`;
    x += part;
    return bar;
  });
}
