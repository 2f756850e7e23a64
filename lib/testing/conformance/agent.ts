import { AgentError, type AgentErrorKind } from '../../adapters/agent-error.js';
import type { AdaptedAgent } from '../../adapters/contract.js';
import { AgentTask } from '../../model/agent.js';
import type { RetryOptions } from '../../model/policy.js';
import type { WorkflowResult } from '../../model/result.js';
import { WorkflowOrchestrator } from '../../orchestrator.js';
import { workflow } from '../../workflow.js';
import { type AnswerRule, echo, OpenAIServer, type OpenAIServerOptions } from '../openai/openai-server.js';
import type { ModelRequest, Reply } from '../openai/openai-wire.js';
import { type ConformanceCheck, same } from './check.js';

/** The name of the model that agents under test ask for, and the tool they are given. */
export const testModel = 'local-model';
/** The tool of the `tools` checks: looks up the capital of a country. */
export const testTool = {
  name: 'capital',
  description: 'The capital of a country',
  answer: 'Paris',
} as const;

/** The adapter that {@link agentConformance} is to check. */
export interface AgentSubject {
  /**
   * An agent that asks {@link testModel} at `url` with any key. It is made once for a check, and then runs several tasks at
   * once. With `tools` it has {@link testTool}, which takes `{ country }`.
   */
  make(
    url: string,
    options: { readonly tools: boolean; readonly stream: boolean },
  ): AdaptedAgent | Promise<AdaptedAgent>;
  /** For frameworks that read answers and calls of tools out of texts. Default: both as the API has them. */
  readonly speech?: {
    /** The reply in the words of the framework. */
    say(reply: Reply): Reply;
    /** What a tool gave, where the end of the transcript says so. */
    heard(request: ModelRequest): string | undefined;
  };
  /** Checks by name that do not apply, with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

type Check = (make: Make, heard: (request: ModelRequest) => string | undefined) => Promise<void>;
type Make = (
  options?: OpenAIServerOptions & { readonly tools?: boolean; readonly stream?: boolean },
) => Promise<{ readonly server: OpenAIServer; readonly agent: AdaptedAgent }>;

const soon: RetryOptions = { count: 1, backoff: { initial: 1, jitter: 'none' } };

/** Ways to fail: what the server does, the kind of error, and whether another try is made. */
const failures: readonly [what: string, reply: Reply, kind: AgentErrorKind, retried: boolean][] = [
  ['an answer of 429', { status: 429 }, 'rate-limit', true],
  ['a used-up quota', { status: 429, code: 'insufficient_quota' }, 'rate-limit', false],
  ['too long a context', { status: 400, code: 'context_length_exceeded' }, 'context-length', false],
  ['a filter of contents', { status: 400, code: 'content_filter' }, 'content-filter', false],
  [
    'a wrong key',
    { status: 401, code: 'invalid_api_key', text: 'Incorrect API key: sk-12345678' },
    'auth',
    false,
  ],
  ['an answer of 500', { status: 500 }, 'other', true],
  ['an answer of 400', { status: 400, text: 'no such thing' }, 'other', false],
  ['a broken answer', { text: 'half of it', fault: 'broken-json' }, 'other', true],
  ['a lost connection', { fault: 'drop' }, 'network', true],
];

const checks: Readonly<Record<string, Check>> = {
  'runs as an agent of an orchestrator': async (make) => {
    const { agent } = await make();
    const orchestrator = new WorkflowOrchestrator({ agents: { asked: agent } });
    orchestrator.addTask(new AgentTask({ id: 'a', agentType: 'asked', data: { prompt: 'what is a hive' } }));
    const result = await orchestrator.executeWorkflow();
    succeeded(result, 'a');
    contains(result.results.get('a'), 'what is a hive', 'result');
  },

  'runs as the body of a task, one copy for each of five at once': async (make) => {
    let wake: (() => void) | undefined;
    const all = new Promise<void>((done) => {
      wake = done;
    });
    let asked = 0;
    const { server, agent } = await make({
      answer: async (request) => {
        asked += 1;
        if (asked === 5) wake?.();
        await all; // no answer before all five have asked
        return replyTo(request, said(request));
      },
    });
    const result = await many(agent, 5);
    apart(server, 5);
    for (let i = 0; i < 5; i++) {
      succeeded(result, `t${i}`);
      contains(result.results.get(`t${i}`), marker(i), `result of t${i}`);
    }
    same(server.stats.mostInFlight, 5, 'requests at once');
    apart(server, 5);
    await many(agent, 2);
    apart(server, 5);
  },

  'reports usage by model': async (make) => {
    const { agent } = await make({
      answer: (request) => ({
        ...replyTo(request, 'hello'),
        usage: { inputTokens: 1_000, outputTokens: 20 },
      }),
    });
    const flow = workflow({ name: 'usage', prices: { [testModel]: { input: 1, output: 1 } } });
    flow.task('a', { run: (_, ctx) => agent('hello', ctx) });
    const result = await flow.run().result();
    succeeded(result, 'a');
    const { inputTokens, outputTokens, unpricedTokens } = result.report.usage;
    same(
      { inputTokens, outputTokens, unpricedTokens },
      { inputTokens: 1_000, outputTokens: 20, unpricedTokens: 0 },
      'usage',
    );
  },

  'streams the text so far, each of several its own': async (make) => {
    const text = 'Bees make honey of nectar, wax of honey, and a hive of wax.';
    const { agent } = await make({
      stream: true,
      pause: 2,
      answer: (request) => replyTo(request, `${said(request)}: ${text}`),
    });
    const flow = workflow({ name: 'stream' });
    const tasks = [0, 1, 2].map((i) => flow.task(`t${i}`, { run: (_, ctx) => agent(marker(i), ctx) }));
    const run = flow.run();
    const seen = tasks.map((): string[] => []);
    for (const [i, task] of tasks.entries()) run.values$(task).subscribe((value) => seen[i]?.push(value));
    const result = await run.result();
    for (const [i, values] of seen.entries()) {
      succeeded(result, `t${i}`);
      const last = values.at(-1) ?? '';
      contains(last, text, 'last value');
      contains(last, marker(i), 'last value');
      same(last, result.results.get(`t${i}`), 'last value');
      if (values.length < 4)
        throw new Error(`a stream of ${values.length} values: ${JSON.stringify(values)}`);
      for (const value of values)
        if (!last.startsWith(value)) throw new Error(`"${value}" is no beginning of "${last}"`);
    }
  },

  'calls tools, and tells the model what they gave': async (make, heard) => {
    const { server, agent } = await make({
      tools: true,
      answer: (request) => {
        const given = heard(request);
        if (given !== undefined) return replyTo(request, `It is ${given}.`);
        return { toolCalls: [{ name: testTool.name, arguments: { country: 'France' } }] };
      },
    });
    const result = await many(agent, 1);
    succeeded(result, 't0');
    contains(result.results.get('t0'), `It is ${testTool.answer}`, 'result');
    same(server.requests.length, 2, 'requests');
  },

  'waits as long as a 429 says, and asks once again': async (make) => {
    const { server, agent } = await make();
    server.next({ status: 429, headers: { 'retry-after': '1' } });
    const result = await many(agent, 1, { count: 1 });
    succeeded(result, 't0');
    const error = result.tasks.get('t0')?.attempts[0]?.error as AgentError | undefined;
    same([error?.kind, error?.retryAfter], ['rate-limit', 1], 'kind and retryAfter');
    const [first, second] = server.requests;
    same(server.requests.length, 2, 'requests');
    const waited = (second?.at ?? 0) - (first?.at ?? 0);
    if (waited < 950) throw new Error(`asked again after ${waited} ms, not 1,000`);
  },

  'stops the native agent when its task is cancelled': async (make) => {
    const { server, agent } = await make({ latency: 10_000 });
    const flow = workflow({ name: 'cancel' });
    flow.task('a', { run: (_, ctx) => agent('wait', ctx) });
    const run = flow.run();
    const result = run.result();
    await until(() => server.requests.length === 1, 'a request');
    run.cancelTask('a');
    await until(() => server.requests[0]?.aborted === true, 'an aborted request');
    same((await result).tasks.get('a')?.status, 'cancelled', 'status');
    same(server.requests.length, 1, 'requests');
  },

  'stops the native agent when an attempt takes too long': async (make) => {
    const { server, agent } = await make();
    server.next({ fault: 'hang' });
    const flow = workflow({ name: 'slow' });
    flow.task('a', { timeout: 3_000, retry: soon, run: (_, ctx) => agent('wait', ctx) });
    const result = await flow.run().result();
    succeeded(result, 'a');
    const error = result.tasks.get('a')?.attempts[0]?.error as { code?: string } | undefined;
    same(error?.code, 'TASK_TIMEOUT', 'first error');
    await until(() => server.requests[0]?.aborted === true, 'an aborted request');
  },
};

/** What every adapter of agents must do, as checks for any test runner. Each has a server of its own. */
export function agentConformance(subject: AgentSubject): readonly ConformanceCheck[] {
  const all: Record<string, Check> = { ...checks };
  for (const [what, reply, kind, retried] of failures)
    all[`${what} is ${kind}, ${retried ? 'tried again' : 'final'}`] = (make) =>
      fails(make, reply, kind, retried);
  return Object.entries(all)
    .filter(([name]) => subject.skip === undefined || !Object.hasOwn(subject.skip, name))
    .map(([name, check]) => ({ name, run: () => withServer(subject, check) }));
}

async function withServer(subject: AgentSubject, check: Check): Promise<void> {
  const servers: OpenAIServer[] = [];
  const { say, heard = toolMessage } = subject.speech ?? {};
  const spoken =
    (rule: AnswerRule): AnswerRule =>
    async (request) => {
      const answer = await rule(request);
      const reply = typeof answer === 'string' ? { text: answer } : answer;
      return say === undefined ? reply : say(reply);
    };
  try {
    await check(async ({ tools = false, stream = false, answer = echo, ...options } = {}) => {
      const server = await OpenAIServer.listen({ latency: 1, ...options, answer: spoken(answer) });
      servers.push(server);
      return { server, agent: await subject.make(server.url, { tools, stream }) };
    }, heard);
  } finally {
    for (const server of servers) await server.close();
  }
}

async function fails(make: Make, reply: Reply, kind: AgentErrorKind, retried: boolean): Promise<void> {
  const { server, agent } = await make();
  server.next(reply);
  const result = await many(agent, 1, soon);
  const task = result.tasks.get('t0');
  const error = task?.attempts[0]?.error ?? task?.error;
  if (!(error instanceof AgentError))
    throw new Error(`expected an AgentError, got ${String(error)}`, { cause: error });
  same([error.kind, error.isRetryable], [kind, retried], `kind and isRetryable of ${error.message}`);
  if (reply.status !== undefined) same(error.status, reply.status, 'status');
  if (/sk-1234/.test(error.message)) throw new Error(`a key is in the message: ${error.message}`);
  same(task?.status, retried ? 'succeeded' : 'failed', 'status');
  same(server.requests.length, retried ? 2 : 1, 'requests');
}

function many(agent: AdaptedAgent, count: number, retry?: RetryOptions): Promise<WorkflowResult> {
  const flow = workflow({ name: 'conformance' });
  for (let i = 0; i < count; i++)
    flow.task(`t${i}`, { ...(retry && { retry }), run: (_, ctx) => agent(marker(i), ctx) });
  return flow.run().result() as Promise<WorkflowResult>;
}

const marker = (i: number): string => `question number ${i} of its own`;

/** Each transcript holds one question only. */
function apart(server: OpenAIServer, questions: number): void {
  for (const { messages } of server.requests) {
    const text = messages.map((one) => one.text).join('\n');
    const found = Array.from({ length: questions }, (_, i) => marker(i)).filter((one) => text.includes(one));
    same(found.length, 1, `questions in one transcript: ${found.join(', ')}`);
  }
}

/** The question that was asked, without what the framework wraps it in. */
function said(request: ModelRequest): string {
  return /question number \d of its own/.exec(request.prompt)?.[0] ?? request.prompt;
}

function toolMessage({ messages }: ModelRequest): string | undefined {
  const last = messages.at(-1);
  return last?.role === 'tool' ? last.text : undefined;
}

/** A final answer: as text, or by the tool that a framework has for it. */
function replyTo(request: ModelRequest, text: string): Reply {
  const final = request.tools.find(({ name }) => name === 'final_answer');
  if (final === undefined) return { text };
  return { toolCalls: [{ name: final.name, arguments: { response: text } }] };
}

function succeeded(result: WorkflowResult, id: string): void {
  const task = result.tasks.get(id);
  if (task?.status === 'succeeded') return;
  throw new Error(`task "${id}" has ${task?.status}: ${String(task?.error)}`, { cause: task?.error });
}

function contains(text: unknown, part: string, what: string): void {
  if (!String(text).includes(part)) throw new Error(`${what}: "${String(text)}" does not hold "${part}"`);
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`no ${what} within 30 s`);
    await new Promise((done) => setTimeout(done, 5));
  }
}
