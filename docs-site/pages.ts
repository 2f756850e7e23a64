// What the site is made of: which files of the repository are pages, where they stand on it, and what they are called.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Folders of docs/ in the order of the sidebar, with what they are called there. '' is docs/ itself. */
const folders: readonly (readonly [folder: string, title: string])[] = [
  ['start', 'Start'],
  ['concepts', 'Concepts'],
  ['guides', 'Guides'],
  ['', 'Go deeper'],
  ['coming-from', 'Coming from'],
  ['reference', 'API reference'],
  ['decisions', 'Decisions'],
];

/** Files of the repository that stand in no folder of docs/ and are pages all the same. */
const outside = ['CHANGELOG.md', 'CONTRIBUTING.md', 'CODE_OF_CONDUCT.md', 'ARCHITECTURE.md', 'README.md'];

/** An entry of the sidebar. */
export interface Item {
  readonly text: string;
  readonly link?: string;
  readonly items?: Item[];
}

const slashes = (path: string): string => path.split(sep).join('/');

/** The anchor of a heading, as GitHub makes it; that of an error code is the code. */
export function slug(heading: string): string {
  const text = heading.trim();
  if (/^[A-Z]+_[A-Z_]+$/.test(text)) return text;
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

/** The front matter of a page and its title: `title` there, else the first heading. */
export function headOf(text: string): Partial<Record<'title' | 'order' | 'sidebar', string | undefined>> {
  const matter = /^---\n([\s\S]*?)\n---\n/.exec(text)?.[1] ?? '';
  const fields = Object.fromEntries(
    [...matter.matchAll(/^(\w+): *(.*)$/gm)].map(([, key = '', value = '']) => [
      key,
      value.replaceAll(/^['"]|['"]$/g, ''),
    ]),
  );
  const heading = /^# (.+)$/m.exec(text)?.[1]?.replaceAll('`', '');
  return { ...fields, title: fields.title ?? heading };
}

/**
 * The pages of a folder of docs/ in the order of the sidebar: by `order` of the front matter, else by the number a file name
 * begins with, else by title.
 */
export function pagesOf(folder: string): Item[] {
  const at = join(root, 'docs', folder);
  if (!existsSync(at)) return [];
  return readdirSync(at)
    .filter((name) => name.endsWith('.md') && (folder !== '' || name !== 'index.md'))
    .map((name) => {
      const { title = name, order, sidebar } = headOf(readFileSync(join(at, name), 'utf8'));
      const number = order ?? /^\d+/.exec(name)?.[0] ?? (/^(index|README)\.md$/.test(name) ? 0 : 1_000);
      return { name, title, order: Number(number), sidebar };
    })
    .filter(({ sidebar }) => sidebar !== 'false')
    .sort((a, b) => a.order - b.order || a.title.localeCompare(b.title))
    .map(({ name, title }) => ({
      text: title,
      link: routeOf(`docs/${folder === '' ? '' : `${folder}/`}${name}`),
    }));
}

/** The reference in its sidebar: the names of the main entry by what they are for, and the other entry points. */
function referencePages(): Item[] {
  const at = join(root, 'docs/reference');
  const list = (page: string, pattern: RegExp): RegExpMatchArray[] =>
    existsSync(page) ? [...readFileSync(page, 'utf8').matchAll(pattern)] : [];
  const groups: { text: string; items: Item[] }[] = [];
  const listed = list(join(at, 'rxhive/README.md'), /^## (.+)$|^\| \[(\w+)\]\((.+?)\.md\)/gm);
  for (const [, group, text = '', link] of listed) {
    if (group !== undefined) groups.push({ text: group, items: [] });
    else groups.at(-1)?.items.push({ text, link: `/reference/rxhive/${link}` });
  }
  const entries = list(join(at, 'README.md'), /^\| \[`(.+?)`\]\((.+?)README\.md\)/gm);
  const items = entries.map(([, text = '', path]) => ({ text, link: `/reference/${path}` }));
  return [{ text: 'Import from', items }, ...groups];
}

/** The sidebars: reference and decisions have their own, as they are long; all other pages share one. */
export function sidebars(): Record<string, Item[]> {
  const blocks = folders
    .filter(([folder]) => folder !== 'reference' && folder !== 'decisions')
    .map(([folder, text]) => ({ text, items: pagesOf(folder) }))
    .filter(({ items }) => items.length > 0);
  const more = [
    { text: 'API reference', link: '/reference/' },
    { text: 'Decisions', link: '/decisions/' },
    { text: 'Changes', link: '/reference/source/CHANGELOG' },
  ];
  return {
    '/reference/': referencePages(),
    '/decisions/': [{ text: 'Decisions', items: pagesOf('decisions') }],
    '/': [...blocks, { text: 'More', items: more }],
  };
}

/** The bar at the top: the first page of the folders that readers look for. */
export function nav(): { text: string; link: string | undefined; activeMatch: string }[] {
  return folders
    .filter(([folder]) => ['start', 'concepts', 'guides', 'coming-from', 'reference'].includes(folder))
    .map(([folder, text]) => ({
      text,
      link: folder === 'reference' ? '/reference/' : pagesOf(folder)[0]?.link,
      activeMatch: `^/${folder}/`,
    }))
    .filter(({ link }) => link !== undefined);
}

/** Where the page made from a markdown file of docs/ stands. */
function routeOf(file: string): string {
  const parts = file.slice('docs/'.length).replace(/\.md$/, '');
  return `/${parts.replace(/(^|\/)(index|README)$/, '$1')}`;
}

/** Where a file of the repository can be read on the site. */
export function siteAddress(file: string, anchor?: string): string {
  if (anchor !== undefined) return `${siteAddress(file).replace(/#.*/, '')}#${anchor}`;
  // They are one page there: each begins with its first code.
  if (/^docs\/errors\//.test(file)) {
    const [, first = ''] = /^## (.+)$/m.exec(readFileSync(join(root, file), 'utf8')) ?? [];
    return `/errors#${first}`;
  }
  if (file.startsWith('docs/')) {
    if (file.endsWith('.md')) return routeOf(file);
    const index = ['index.md', 'README.md'].find((name) => existsSync(join(root, file, name)));
    if (index !== undefined) return routeOf(`${file}/${index}`);
  }
  if (file === 'ARCHITECTURE.md' && existsSync(join(root, 'docs/architecture.md'))) return '/architecture';
  if (file === 'README.md') return '/';
  return `/reference/source/${file.replace(/\.md$/, '')}`;
}

/** The file of the repository a link in `page` is to, both from the root; undefined where there is none. */
export function targetOf(page: string, path: string): string | undefined {
  const plain = decodeURIComponent(path);
  // The second is for pages that include a file of the root.
  return [posix.join(posix.dirname(page), plain), posix.normalize(plain)]
    .map((file) => file.replace(/\/$/, ''))
    .find((file) => !file.startsWith('..') && existsSync(join(root, file)));
}

/** Links of a text that are to files: `[text](path#anchor)`, but those in fences. */
export function linksIn(text: string): string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** Files that pages link to and that stand outside docs/, with those they link to in turn, and the fixed ones. */
export function linkedFiles(): string[] {
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .map(slashes)
    .filter((name) => name.endsWith('.md') && !name.startsWith('reference/'))
    .map((name) => `docs/${name}`);
  const found = new Set(outside.filter((file) => existsSync(join(root, file))));
  const look = (page: string): void => {
    for (const link of linksIn(readFileSync(join(root, page), 'utf8'))) {
      const file = link.startsWith('#') ? undefined : targetOf(page, link.split('#')[0] ?? '');
      if (file === undefined || found.has(file)) continue;
      if (file.startsWith('docs/') && file.endsWith('.md')) continue;
      if (/\.(svg|png)$/.test(file)) continue;
      found.add(file);
      if (file.endsWith('.md')) look(file);
    }
  };
  for (const page of [...pages, ...found]) look(page);
  return [...found].filter((file) => siteAddress(file).startsWith('/reference/source/'));
}

/** The page that shows a file which is no page: a document as it is, code in a fence, a folder as a list. */
export function sourcePage(file: string): string {
  const at = join(root, file);
  const head = (title: string): string =>
    `---\ntitle: ${JSON.stringify(title)}\norigin: ${file}\nsearch: false\n---\n\n`;
  if (statSync(at).isDirectory()) {
    const names = readdirSync(at).filter((name) => !name.startsWith('.') && name !== 'node_modules');
    return `${head(file)}# ${file}\n\n${names.map((name) => `- ${name}`).join('\n')}\n`;
  }
  const text = readFileSync(at, 'utf8');
  if (file.endsWith('.md')) return `${head(headOf(text).title ?? file)}${text}`;
  const ending = /\.(\w+)$/.exec(file)?.[1] ?? 'text';
  const language = ({ mjs: 'js', cjs: 'js', svg: 'xml' } as Record<string, string>)[ending] ?? ending;
  return `${head(file)}# ${file}\n\n\`\`\`\`${language}\n${text.trimEnd()}\n\`\`\`\`\n`;
}
