// Options of TypeDoc: a page for each entry point of the package, made from the docstrings of what it exports.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What the entry points are for, in the order of the sidebar. */
const about = {
  rxhive: 'What most programs need: define a workflow, run it, watch it, limit it.',
  'rxhive/events': 'What happens in a run: events, logs of events, middleware, breakpoints.',
  'rxhive/streams': 'Runs and Observables to browsers and back: server-sent events, streams of Web and Node.',
  'rxhive/limits': 'Limiters of your own, and what limits, budgets and breakers report.',
  'rxhive/stores': 'Stores, and what a store tells of past runs.',
  'rxhive/sqlite': 'A store in a file: SQLite.',
  'rxhive/postgres': 'A store that several processes share: PostgreSQL.',
  'rxhive/redis': 'Limits that several processes share: Redis.',
  'rxhive/records': 'The records of a log, for those who read a log or write a store.',
  'rxhive/agents': 'Agents, sequential thinking, and what agents say to each other and to people.',
  'rxhive/types': 'Types of options and results that few programs have to name.',
  'rxhive/testing': 'Test workflows in virtual time: marbles, simulation, exploration, fake providers.',
  'rxhive/testing/conformance': 'Checks for a store or an adapter of your own.',
  'rxhive/threads': 'Run the bodies of tasks in worker threads.',
  'rxhive/bullmq':
    'Run the bodies of tasks on other machines: workers that take orders from queues of BullMQ.',
  'rxhive/load': 'Measure the load of the machine, for limits that adapt to it.',
  'rxhive/dashboard': 'A page that shows a run while it runs, and reports as files.',
  'rxhive/tracing': 'Traces of runs as OpenTelemetry spans.',
  'rxhive/otel': 'Metrics of runs for OpenTelemetry.',
  'rxhive/prometheus': 'Metrics of runs for Prometheus.',
  'rxhive/beeai': 'Agents of BeeAI as tasks, and workflows as BeeAI agents and tools.',
  'rxhive/langgraph': 'Graphs of LangGraph as tasks.',
  'rxhive/openai-agents': 'Agents of the OpenAI Agents SDK as tasks.',
  'rxhive/ai-sdk': 'Agents of the AI SDK as tasks, and workflows as tools for it.',
  'rxhive/a2a': 'Agents that speak A2A as tasks, and workflows as A2A agents.',
  'rxhive/mcp': 'Tools of MCP servers for tasks, and workflows as MCP tools.',
  'rxhive/process': 'Programs in any language as agents: JSON lines on their standard input and output.',
};

/** The entry points of the package: what is imported, its source, and what it is for. */
export function entries() {
  const { name, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const names = Object.keys(about);
  return Object.entries(exports)
    .filter(([, target]) => typeof target === 'object')
    .map(([path, target]) => {
      const entry = path.replace('.', name);
      if (about[entry] === undefined) throw new Error(`Say in reference.mjs what ${entry} is for`);
      const file = join(root, target.default.replace('./dist/', 'lib/').replace(/\.js$/, '.ts'));
      return { name: entry, file, about: about[entry] };
    })
    .sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}

export default {
  entryPoints: entries().map(({ file }) => file),
  tsconfig: join(root, 'docs-site/tsconfig.json'),
  plugin: ['typedoc-plugin-markdown', join(root, 'docs-site/reference-plugin.mjs')],
  out: join(root, 'docs/reference'),
  cleanOutputDir: false,
  readme: 'none',
  router: 'entry',
  hidePageHeader: true,
  hideBreadcrumbs: true,
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  sort: ['source-order'],
  indexFormat: 'table',
  skipErrorChecking: true, // `npm run types` does that, with the compiler of the project
  useCodeBlocks: true,
  expandObjects: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  propertyMembersFormat: 'table',
  enumMembersFormat: 'table',
  sanitizeComments: true,
  useHTMLEncodedBrackets: true,
  githubPages: false,
  validation: { notExported: false },
  groupOrder: [
    'Define a workflow',
    'Depend on other tasks',
    'Run it and watch it',
    'Keep it and go on with it',
    'Limit it',
    'Ask people and send messages',
    'Run agents',
    'Errors',
    '*',
  ],
  treatWarningsAsErrors: true,
};
