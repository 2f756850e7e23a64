// What the site is made of: which files of the repository are pages, where they stand on it, and what they are called.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Folders of docs/ in the order of the sidebar, with what they are called there. '' is docs/ itself. */
const folders = [
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

const slashes = (path) => path.split(sep).join('/');

/** The anchor of a heading, as GitHub makes it; that of an error code is the code. */
export function slug(heading) {
  const text = heading.trim();
  if (/^[A-Z]+_[A-Z_]+$/.test(text)) return text;
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

/** The front matter of a page and its title: `title` there, else the first heading. */
export function headOf(text) {
  const matter = /^---\n([\s\S]*?)\n---\n/.exec(text)?.[1] ?? '';
  const fields = Object.fromEntries(
    [...matter.matchAll(/^(\w+): *(.*)$/gm)].map(([, key, value]) => [
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
export function pagesOf(folder) {
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

/** The reference in the sidebar: the entry points, and the names of the first of them by what they are for. */
function referencePages() {
  const at = join(root, 'docs/reference');
  const list = (page, pattern) => (existsSync(page) ? [...readFileSync(page, 'utf8').matchAll(pattern)] : []);
  return list(join(at, 'README.md'), /^\| \[`(.+?)`\]\((.+?)README\.md\)/gm).map(([, name, path]) => {
    const items = [];
    if (name === 'rxhive')
      for (const [, group, text, link] of list(
        join(at, path, 'README.md'),
        /^## (.+)$|^\| \[(\w+)\]\((.+?)\.md\)/gm,
      )) {
        if (group !== undefined) items.push({ text: group, collapsed: true, items: [] });
        else items.at(-1).items.push({ text, link: `/reference/${path}${link}` });
      }
    return {
      text: name,
      link: `/reference/${path}`,
      ...(items.length === 0 ? {} : { collapsed: true, items }),
    };
  });
}

/** The sidebar: one block a folder that has pages. */
export function sidebar() {
  return folders
    .map(([folder, text]) => ({
      text,
      collapsed: ['reference', 'decisions', 'coming-from'].includes(folder),
      items: folder === 'reference' ? referencePages() : pagesOf(folder),
    }))
    .filter(({ items }) => items.length > 0);
}

/** The bar at the top: the first page of the folders that readers look for. */
export function nav() {
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
function routeOf(file) {
  const parts = file.slice('docs/'.length).replace(/\.md$/, '');
  return `/${parts.replace(/(^|\/)(index|README)$/, '$1')}`;
}

/** Where a file of the repository can be read on the site. */
export function siteAddress(file) {
  if (/^docs\/errors\//.test(file)) return '/errors';
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
export function targetOf(page, path) {
  const plain = decodeURIComponent(path);
  // The second is for pages that include a file of the root.
  return [posix.join(posix.dirname(page), plain), posix.normalize(plain)]
    .map((file) => file.replace(/\/$/, ''))
    .find((file) => !file.startsWith('..') && existsSync(join(root, file)));
}

/** Links of a text that are to files: `[text](path#anchor)`, but those in fences. */
export function linksIn(text) {
  return [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, link]) => link)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** Files that pages link to and that stand outside docs/, with those they link to in turn, and the fixed ones. */
export function linkedFiles() {
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .map(slashes)
    .filter((name) => name.endsWith('.md') && !name.startsWith('reference/'))
    .map((name) => `docs/${name}`);
  const found = new Set(outside.filter((file) => existsSync(join(root, file))));
  const look = (page) => {
    for (const link of linksIn(readFileSync(join(root, page), 'utf8'))) {
      const file = link.startsWith('#') ? undefined : targetOf(page, link.split('#')[0]);
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
export function sourcePage(file) {
  const at = join(root, file);
  const head = (title) => `---\ntitle: ${JSON.stringify(title)}\norigin: ${file}\nsearch: false\n---\n\n`;
  if (statSync(at).isDirectory()) {
    const names = readdirSync(at).filter((name) => !name.startsWith('.') && name !== 'node_modules');
    return `${head(file)}# ${file}\n\n${names.map((name) => `- ${name}`).join('\n')}\n`;
  }
  const text = readFileSync(at, 'utf8');
  if (file.endsWith('.md')) return `${head(headOf(text).title ?? file)}${text}`;
  const ending = /\.(\w+)$/.exec(file)?.[1] ?? 'txt';
  const language = { mjs: 'js', cjs: 'js', svg: 'xml' }[ending] ?? ending;
  return `${head(file)}# ${file}\n\n\`\`\`\`${language}\n${text.trimEnd()}\n\`\`\`\`\n`;
}
