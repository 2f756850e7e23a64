import { peer } from '../kernel/peer.js';
import type { WorkflowEvent } from '../model/event.js';
import type { Definable } from '../model/workflow.js';
import { definedTasks } from '../observe/defined.js';
import {
  criticalPath,
  edgeKind,
  type GraphNode,
  graphPicture,
  isConditional,
  statusOf,
  textOf,
} from './graph-view.js';
import { curve, type Dagre, layout } from './layout.js';
import { recorded } from './recorded.js';
import { RunView } from './run-view.js';
import { statusStyles } from './status-style.js';
import { short, xml } from './text.js';

const height = 34;
/**
 * The graph as a picture in SVG, light and dark: of a workflow or orchestrator, or, with statuses and the critical path
 * drawn strong, of the run that events tell of. More than 50 equal tasks are one box. Needs the package @dagrejs/dagre.
 * Rejects with RxhiveError INVALID_OPTION where that is not installed.
 */
export async function graphSvg(source: Definable | Iterable<WorkflowEvent>): Promise<string> {
  return svgOf('definition' in source ? defined(source) : recorded(source), await library());
}

/** The same of a run that has been read. */
export async function graphSvgOf(view: RunView): Promise<string> {
  return svgOf(view, await library());
}

async function library(): Promise<Dagre> {
  return (await peer<{ readonly default: Dagre }>('@dagrejs/dagre', 'graphSvg()')).default;
}

/** A workflow as a run that has not begun. */
function defined(source: Definable): RunView {
  const definition = source.definition();
  const view = new RunView({ events: 0 });
  const base = { at: 0, runId: '' };
  view.apply({ ...base, seq: 1, type: 'run', reason: 'started', workflow: definition.settings.name });
  view.apply({ ...base, seq: 2, type: 'plan', reason: 'initial', tasks: definedTasks(definition) });
  return view;
}

function svgOf(view: RunView, by: Dagre): string {
  const { nodes, edges } = graphPicture(view);
  const widths = new Map(nodes.map((node) => [node.key, widthOf(node)]));
  const boxes = nodes.map(({ key, within }) => ({ key, within, width: widths.get(key) as number, height }));
  const placed = layout(by, { nodes: boxes, edges, down: false });
  const path = criticalPath(view);
  const strong = new Set(
    nodes.filter(({ tasks }) => tasks.some(({ id }) => path.has(id))).map(({ key }) => key),
  );
  const [w, h] = [Math.ceil(placed.width), Math.ceil(placed.height)];
  const frames = placed.frames.map(
    ({ name, x, y, width, height: high }) =>
      `<g class="frame" transform="translate(${x - width / 2} ${y - high / 2})"><rect width="${width}" height="${high}" rx="10"/><text x="8" y="14">${xml(short(name, 40))}</text></g>`,
  );
  const arrows = edges.map(({ from, to, mode }, i) => {
    const kinds = edgeKind(mode, strong.has(from) && strong.has(to));
    return `<path class="${kinds}" d="${curve(placed.edges[i] ?? [])}" marker-end="url(#tip)"><title>${xml(mode)}</title></path>`;
  });
  const drawn = nodes.map((node) => {
    const { x, y } = placed.nodes[node.key] ?? { x: 0, y: 0 };
    const width = widths.get(node.key) as number;
    const status = statusOf(node);
    const sign =
      view.status === 'waiting' || view.now + path.size === 0 ? '' : `${statusStyles[status].sign} `;
    const title = `${short(node.label, 300)}${node.group === undefined ? '' : ` in ${short(node.group)}`}: ${status}`;
    return `<g class="box ${status}${strong.has(node.key) ? ' strong' : ''}" transform="translate(${x - width / 2} ${y - height / 2})"><title>${xml(title)}</title><rect width="${width}" height="${height}" rx="${isConditional(node) ? height / 2 : 7}"/><text x="12" y="21">${xml(sign + textOf(node))}</text></g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img">
<title>${xml(short(view.workflow, 80))}</title>
<style>${style()}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>
${[...frames, ...arrows, ...drawn].join('\n')}
</svg>
`;
}

function widthOf(node: GraphNode): number {
  return Math.round(44 + textOf(node).length * 7.2);
}

function style(): string {
  const scheme = (at: 0 | 1, ink: string, soft: string, card: string): string =>
    `text{fill:${ink}}.tip{fill:${soft}}.frame{color:${soft}}.edge{stroke:${soft}}.edge.strong{stroke:${ink}}rect{fill:${card}}${Object.entries(
      statusStyles,
    )
      .map(([status, { colours }]) => `.${status}{color:${colours[at]}}`)
      .join('')}.handler{color:${statusStyles.failed.colours[at]}}`;
  return `text{font:12.5px system-ui,sans-serif}rect{stroke:currentColor;stroke-width:1.5}.strong rect{stroke-width:3}.skipped rect{stroke-dasharray:4 3}.frame rect{fill:none;stroke-width:1;stroke-dasharray:2 3}.frame text{font-size:10.5px}.edge{fill:none;stroke-width:1.3}.edge.soft{stroke-dasharray:5 4}.edge.strong{stroke-width:2.2}.edge.handler{stroke:currentColor}${scheme(0, '#1c2330', '#8793a3', '#ffffff')}@media(prefers-color-scheme:dark){${scheme(1, '#e6eaf0', '#5b6675', '#1a202a')}}`;
}
