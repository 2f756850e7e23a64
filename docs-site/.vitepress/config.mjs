import { join } from 'node:path';
import { defineConfig } from 'vitepress';
import { nav, root, sidebars, siteAddress, slug, targetOf } from '../pages.ts';
import { options } from '../search.ts';

const here = join(root, 'docs-site');

/** Links are written as GitHub reads them, from file to file; the site has its own places. */
function siteLinks(md) {
  md.core.ruler.after('inline', 'site-links', ({ tokens, env }) => {
    const page = env.frontmatter?.origin ?? `docs/${env.relativePath}`;
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.type === 'link_open' ? token.attrGet('href') : null;
      if (href === null || /^([a-z]+:|#|\/)/.test(href)) continue;
      const [path, anchor] = href.split('#');
      const file = targetOf(page, path);
      if (file !== undefined) token.attrSet('href', siteAddress(file, anchor));
    }
  });
}

/** A cell of a table's head that is empty heads nothing: it is a cell like others. */
function emptyHeads(md) {
  md.core.ruler.after('inline', 'empty-heads', ({ tokens }) => {
    tokens.forEach((token, i) => {
      if (token.type === 'th_open' && tokens[i + 1]?.content === '') token.tag = tokens[i + 2].tag = 'td';
    });
  });
}

/** Diagrams are drawn where they are read. */
function diagrams(md) {
  const fence = md.renderer.rules.fence;
  md.renderer.rules.fence = (tokens, index, options, env, self) => {
    const token = tokens[index];
    if (token.info.trim() !== 'mermaid') return fence(tokens, index, options, env, self);
    return `<Diagram text="${encodeURIComponent(token.content)}" />`;
  };
}

/** Pages stand outside this package; what they import stands inside. */
const packagesFromHere = {
  name: 'packages-from-here',
  enforce: 'pre',
  resolveId(id, importer, options) {
    if (!/^vue(\/|$)/.test(id) || importer?.startsWith(here)) return;
    return this.resolve(id, join(here, 'package.json'), { ...options, skipSelf: true });
  },
};

export default defineConfig({
  title: 'rxhive',
  description: 'Run the tasks of AI agents in parallel: dependencies, limits, retries, state, checkpoints.',
  lang: 'en',
  base: '/rxhive/',
  srcDir: '../docs',
  srcExclude: ['errors/**'],
  outDir: 'dist',
  cacheDir: 'node_modules/.cache-vitepress',
  cleanUrls: true,
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  ignoreDeadLinks: false,
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  lastUpdated: false,
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    anchor: { slugify: slug },
    toc: { slugify: slug },
    config: (md) => {
      md.use(siteLinks);
      md.use(emptyHeads);
      md.use(diagrams);
    },
  },
  themeConfig: {
    nav: nav(),
    sidebar: sidebars(),
    outline: [2, 3],
    search: {
      provider: 'local',
      options: {
        miniSearch: options,
        // `keywords` of the front matter: words of those who ask, where a page has others.
        _render: (source, env, md) => {
          const html = md.render(source, env);
          const { search, keywords } = env.frontmatter ?? {};
          if (search === false) return '';
          return keywords === undefined ? html : html.replace('</h1>', `</h1><p>${keywords}</p>`);
        },
      },
    },
    docFooter: { prev: 'Before', next: 'Next' },
  },
  vite: {
    plugins: [packagesFromHere],
    build: { chunkSizeWarningLimit: 4_000 },
    server: { fs: { allow: [root] } },
  },
});
