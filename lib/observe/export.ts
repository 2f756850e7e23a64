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

function partsOf(tasks: readonly PictureTask[], turns: ReadonlyMap<string, string>): Part {
  const names = new Set(tasks.flatMap((task) => frameOf(task, turns) ?? []));
  const known = new Map<string | undefined, Part>();
  const partOf = (name: string | undefined): Part =>
    getOrInsert(known, name, () => {
      const part = { name, tasks: [], parts: [] };
      if (name !== undefined) partOf(outerOf(name, names)).parts.push(part);
      return part;
    });
  const whole = partOf(undefined);
  for (const task of tasks) partOf(frameOf(task, turns)).tasks.push(task);
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

/** The last turn of each loop that has begun: it is drawn as what the loop comes from, within a frame of its turns. */
export function lastTurns(tasks: Iterable<PictureTask>): ReadonlyMap<string, string> {
  const loops = new Set<string>();
  const last = new Map<string, string>();
  for (const { id, loop, within } of tasks) {
    if (loop !== undefined) loops.add(id);
    if (within !== undefined && loops.has(within)) last.set(within, id);
  }
  return last;
}

/** What is drawn of what a task depends on: what only says that it is part of a nested workflow, where nothing else does. */
export function arrowsTo(
  { id, dependencies }: Pick<PictureTask, 'id' | 'dependencies'>,
  turns: ReadonlyMap<string, string>,
): PictureTask['dependencies'] {
  const turn = turns.get(id);
  if (turn !== undefined) return [{ id: turn, mode: 'value' }];
  const more = dependencies.filter(({ mode }) => mode !== 'after' && mode !== 'ended');
  return more.length === 0 ? dependencies : more;
}

/** The frame a task is in: that of a nested workflow, or of the turns of a loop. */
export function frameOf({ id, within }: PictureTask, turns: ReadonlyMap<string, string>): string | undefined {
  return turns.has(id) ? id : within;
}

/** The graph as a Mermaid flowchart. Ids become labels, never syntax. */
export function toMermaid(tasks: readonly PictureTask[]): string {
  const number = new Map(tasks.map((task, i) => [task.id, i]));
  const turns = lastTurns(tasks);
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
  lines.push(...framed(partsOf(tasks, turns), box, frame).map(indented));
  for (const task of tasks) {
    for (const { id, mode } of arrowsTo(task, turns)) {
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
  const turns = lastTurns(tasks);
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
  lines.push(...framed(partsOf(tasks, turns), box, frame).map(indented));
  for (const task of tasks) {
    for (const { id, mode } of arrowsTo(task, turns)) {
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
