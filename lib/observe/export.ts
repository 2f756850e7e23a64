import { getOrInsert } from '../kernel/get-or-insert.js';

/** A task as a picture needs it. */
export interface PictureTask {
  readonly id: string;
  readonly group?: string | undefined;
  /** Cleanup: it is told from what it cleans up after. */
  readonly always?: boolean | undefined;
  /** The task that is the nested workflow it is a part of. */
  readonly within?: string | undefined;
  /** It has a condition: drawn as a hexagon. */
  readonly condition?: boolean;
  /** It is a loop: the most turns it may take; null: no limit. */
  readonly loop?: number | null;
  readonly dependencies: readonly { readonly id: string; readonly mode: string }[];
}

/** Tasks of a nested workflow, or of none, and the workflows within it. */
interface Part {
  readonly name: string | undefined;
  readonly tasks: PictureTask[];
  readonly parts: Part[];
}

/** The nested workflow that `id`, itself one of `all`, is a part of. */
export function outerOf(id: string, all: { has(id: string): boolean }): string | undefined {
  for (let at = id.lastIndexOf('/'); at > 0; at = id.lastIndexOf('/', at - 1))
    if (all.has(id.slice(0, at))) return id.slice(0, at);
  return undefined;
}

function partsOf(tasks: readonly PictureTask[]): Part {
  const names = new Set(tasks.flatMap(({ within }) => within ?? []));
  const known = new Map<string | undefined, Part>();
  const partOf = (name: string | undefined): Part =>
    getOrInsert(known, name, () => {
      const part = { name, tasks: [], parts: [] };
      if (name !== undefined) partOf(outerOf(name, names)).parts.push(part);
      return part;
    });
  const whole = partOf(undefined);
  for (const task of tasks) partOf(task.within).tasks.push(task);
  return whole;
}

/** The lines of a part: a frame for each group and each nested workflow. */
function framed({ tasks, parts }: Part, box: (task: PictureTask) => string, frame: Frame): string[] {
  return [
    ...[...byGroup(tasks)].flatMap(([group, members]) => {
      const lines = members.map(box);
      return group === undefined ? lines : frame(group, lines);
    }),
    ...parts.flatMap((part) => frame(part.name ?? '', framed(part, box, frame))),
  ];
}

const indented = (line: string): string => `  ${line}`;

type Frame = (name: string, lines: readonly string[]) => string[];

/** What is drawn of what a task depends on: what only says that it is part of a nested workflow, where nothing else does. */
export function arrowsTo<D extends { readonly mode: string }>({
  dependencies,
}: {
  readonly dependencies: readonly D[];
}): readonly D[] {
  const more = dependencies.filter(({ mode }) => mode !== 'after' && mode !== 'ended');
  return more.length === 0 ? dependencies : more;
}

/** The graph as a Mermaid flowchart. Ids become labels, never syntax. */
export function toMermaid(tasks: readonly PictureTask[]): string {
  const number = new Map(tasks.map((task, i) => [task.id, i]));
  const lines = ['flowchart LR'];
  const escaped = (text: string): string =>
    label(text)
      .replaceAll('#', '#35;')
      .replaceAll('"', '#quot;')
      .replaceAll('<', '#lt;')
      .replaceAll('>', '#gt;');
  const box = (task: PictureTask): string => {
    const [open, close] = task.condition === true ? ['{{', '}}'] : ['[', ']'];
    return `t${number.get(task.id)}${open}"${escaped(nameOf(task))}"${close}`;
  };
  let frames = 0;
  const frame: Frame = (name, inside) => [
    `subgraph g${++frames}["${escaped(name)}"]`,
    ...inside.map(indented),
    'end',
  ];
  lines.push(...framed(partsOf(tasks), box, frame).map(indented));
  for (const task of tasks) {
    for (const { id, mode } of arrowsTo(task)) {
      const arrow = mode === 'value' ? '-->' : `-. ${mode} .->`;
      lines.push(`  t${number.get(id)} ${arrow} t${number.get(task.id)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The graph as Graphviz DOT. */
export function toDot(tasks: readonly PictureTask[]): string {
  const quote = (text: string): string => `"${label(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  const number = new Map(tasks.map((task, i) => [task.id, i]));
  const lines = ['digraph workflow {', '  rankdir=LR;', '  node [shape=box];'];
  const box = (task: PictureTask): string =>
    `t${number.get(task.id)} [label=${quote(nameOf(task))}${task.condition === true ? ', shape=hexagon' : ''}];`;
  let frames = 0;
  const frame: Frame = (name, inside) => [
    `subgraph cluster_${++frames} {`,
    `  label=${quote(name)};`,
    ...inside.map(indented),
    '}',
  ];
  lines.push(...framed(partsOf(tasks), box, frame).map(indented));
  for (const task of tasks) {
    for (const { id, mode } of arrowsTo(task)) {
      const style = mode === 'value' ? '' : ` [style=dashed, label=${quote(mode)}]`;
      lines.push(`  t${number.get(id)} -> t${number.get(task.id)}${style};`);
    }
  }
  return `${lines.join('\n')}\n}\n`;
}

/** What its box says. */
export function nameOf({ id, always, loop }: Pick<PictureTask, 'id' | 'always' | 'loop'>): string {
  if (loop !== undefined) return loop === null ? `${id} (loop)` : `${id} (loop, at most ${loop})`;
  return always === true ? `${id} (always)` : id;
}

function label(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 57)}...` : line;
}

function byGroup(tasks: readonly PictureTask[]): Map<string | undefined, PictureTask[]> {
  const groups = new Map<string | undefined, PictureTask[]>();
  for (const task of tasks) {
    getOrInsert(groups, task.group, () => []).push(task);
  }
  return groups;
}
