import { getOrInsert } from '../kernel/get-or-insert.js';

/** A task as a picture needs it. */
export interface PictureTask {
  readonly id: string;
  readonly group?: string | undefined;
  /** Cleanup: it is told from what it cleans up after. */
  readonly always?: boolean | undefined;
  readonly dependencies: readonly { readonly id: string; readonly mode: string }[];
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
  for (const [group, members] of byGroup(tasks)) {
    const inside = members.map((task) => `t${number.get(task.id)}["${escaped(nameOf(task))}"]`);
    if (group === undefined) lines.push(...inside.map((line) => `  ${line}`));
    else
      lines.push(
        `  subgraph g${lines.length}["${escaped(group)}"]`,
        ...inside.map((line) => `    ${line}`),
        '  end',
      );
  }
  for (const task of tasks) {
    for (const { id, mode } of task.dependencies) {
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
  for (const [group, members] of byGroup(tasks)) {
    const inside = members.map((task) => `t${number.get(task.id)} [label=${quote(nameOf(task))}];`);
    if (group === undefined) lines.push(...inside.map((line) => `  ${line}`));
    else
      lines.push(
        `  subgraph cluster_${lines.length} {`,
        `    label=${quote(group)};`,
        ...inside.map((line) => `    ${line}`),
        '  }',
      );
  }
  for (const task of tasks) {
    for (const { id, mode } of task.dependencies) {
      const style = mode === 'value' ? '' : ` [style=dashed, label=${quote(mode)}]`;
      lines.push(`  t${number.get(id)} -> t${number.get(task.id)}${style};`);
    }
  }
  return `${lines.join('\n')}\n}\n`;
}

/** What its box says. */
export function nameOf({ id, always }: Pick<PictureTask, 'id' | 'always'>): string {
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
