// What TypeDoc does not know of rxhive: how its entry points are called and grouped.
import { readFileSync } from 'node:fs';
import { Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';
import { MemberRouter } from 'typedoc-plugin-markdown';
import { entries } from './reference.mjs';

/** The names lib/index.ts exports, by the comment they stand under: `// Define a workflow`. */
function groupsOf(text) {
  const groups = new Map();
  let group;
  for (const [, comment, names, single] of text.matchAll(
    /^\/\/ ([A-Z].*)$|\{([^}]*)\}|export \* as (\w+)/gm,
  )) {
    if (comment !== undefined) group = comment;
    else
      for (const name of (names ?? single).split(','))
        groups.set(
          name
            .replace(/^\s*type\s/, '')
            .split(/\sas\s/)
            .pop()
            .trim(),
          group,
        );
  }
  return groups;
}

/** A page for each name of the entry points that have most of them, and one for each of the others as a whole. */
class EntryRouter extends MemberRouter {
  buildChildPages(reflection, pages) {
    const split = ['rxhive', 'rxhive/testing'].includes(reflection.parent?.name);
    this.membersWithOwnFile = split ? ['Class', 'Interface', 'TypeAlias', 'Function', 'Variable'] : [];
    super.buildChildPages(reflection, pages);
  }
}

export function load(app) {
  app.renderer.defineRouter('entry', EntryRouter);
  const known = new Map(entries().map((entry) => [entry.file, entry]));
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    for (const module of context.project.getChildrenByKind(ReflectionKind.Module)) {
      const entry = known.get(context.getSymbolFromReflection(module)?.declarations?.[0]?.fileName);
      if (entry === undefined) throw new Error(`${module.name} is no entry point`);
      module.name = entry.name;
      const text = readFileSync(entry.file, 'utf8');
      module.comment = new Comment([{ kind: 'text', text: entry.about }]);
      if (!entry.file.endsWith('lib/index.ts')) continue;
      const groups = groupsOf(text);
      for (const child of module.children) {
        const group = groups.get(child.name);
        if (group === undefined) throw new Error(`${child.name} stands under no comment of lib/index.ts`);
        const carriers = child.signatures ?? [child];
        for (const carrier of carriers) {
          carrier.comment ??= new Comment();
          carrier.comment.blockTags.push(new CommentTag('@group', [{ kind: 'text', text: group }]));
        }
      }
    }
  });
}
