import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AgentCard, Message, TaskState } from '@a2a-js/sdk';
import {
  type AgentExecutor,
  DefaultRequestHandler,
  type ExecutionEventBus,
  InMemoryTaskStore,
  type RequestContext,
} from '@a2a-js/sdk/server';
import { agentCardHandler, jsonRpcHandler, restHandler, UserBuilder } from '@a2a-js/sdk/server/express';
import express, { type RequestHandler } from 'express';

/** What an agent of a test does with a task. */
export interface Turn {
  readonly text: string;
  readonly request: RequestContext;
  readonly signal: AbortSignal;
  /** A piece of the artifact, or all of it anew. */
  write(text: string, name?: string, anew?: boolean): void;
  /** How the task stands now; ends it where `final` is true. */
  state(state: TaskState, text?: string, metadata?: Record<string, unknown>): void;
  /** Answers with a message, without a task. */
  message(text: string): void;
}

/** An A2A server over real HTTP on loopback, made with the SDK and express. */
export class A2AServer {
  readonly url: string;
  readonly cancelled: string[] = [];
  /** Goes before everything else: a gateway of the test. */
  gate: RequestHandler = (_, __, next) => next();
  readonly #server: Server;
  readonly #running = new Map<string, AbortController>();

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async listen(
    work: ((turn: Turn) => Promise<void>) | AgentExecutor,
    options: { readonly streaming?: boolean; readonly transport?: 'JSONRPC' | 'HTTP+JSON' } = {},
  ): Promise<A2AServer> {
    const { streaming = true, transport = 'JSONRPC' } = options;
    const app = express();
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    server.unref();
    const { port } = server.address() as { port: number };
    const url = `http://127.0.0.1:${port}`;
    const self = new A2AServer(server, url);
    const card: AgentCard = {
      name: 'Agent',
      description: 'An agent of a test',
      protocolVersion: '0.3.0',
      version: '1',
      url: `${url}/${transport === 'JSONRPC' ? 'rpc' : 'rest'}`,
      preferredTransport: transport,
      skills: [{ id: 'chat', name: 'Chat', description: 'Chats', tags: ['chat'] }],
      capabilities: { streaming },
      defaultInputModes: ['text'],
      defaultOutputModes: ['text'],
    };
    const executor = typeof work === 'function' ? self.#executor(work) : work;
    const requestHandler = new DefaultRequestHandler(card, new InMemoryTaskStore(), executor);
    const userBuilder = UserBuilder.noAuthentication;
    app.use((request, response, next) => self.gate(request, response, next));
    app.use('/.well-known/agent-card.json', agentCardHandler({ agentCardProvider: requestHandler }));
    app.use('/rpc', jsonRpcHandler({ requestHandler, userBuilder }));
    app.use('/rest', restHandler({ requestHandler, userBuilder }));
    return self;
  }

  /** An executor that publishes what `work` says. */
  #executor(work: (turn: Turn) => Promise<void>): AgentExecutor {
    return {
      execute: async (request, bus) => {
        const { taskId } = request;
        const abort = new AbortController();
        this.#running.set(taskId, abort);
        await work(turnOf(request, bus, abort.signal));
      },
      cancelTask: async (taskId, bus) => {
        this.cancelled.push(taskId);
        this.#running.get(taskId)?.abort();
        const status = { state: 'canceled', timestamp: new Date().toISOString() } as const;
        bus.publish({ kind: 'status-update', taskId, contextId: '', status, final: true });
        bus.finished();
      },
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function turnOf(request: RequestContext, bus: ExecutionEventBus, signal: AbortSignal): Turn {
  const { taskId, contextId, userMessage, task } = request;
  const ids = { taskId, contextId };
  let begun = task !== undefined;
  const begin = (): void => {
    if (begun) return;
    begun = true;
    const status = { state: 'submitted', timestamp: new Date().toISOString() } as const;
    bus.publish({ kind: 'task', id: taskId, contextId, status, history: [userMessage] });
  };
  const messageOf = (text: string, metadata?: Record<string, unknown>): Message => ({
    kind: 'message',
    role: 'agent',
    messageId: crypto.randomUUID(),
    parts: [{ kind: 'text', text }],
    ...ids,
    ...(metadata && { metadata }),
  });
  const written = new Set<string>();
  return {
    text: userMessage.parts.map((part) => (part.kind === 'text' ? part.text : '')).join(''),
    request,
    signal,
    write: (text, artifactId = 'answer', anew = false) => {
      begin();
      const artifact = { artifactId, parts: [{ kind: 'text' as const, text }] };
      bus.publish({ kind: 'artifact-update', ...ids, artifact, append: written.has(artifactId) && !anew });
      written.add(artifactId);
    },
    state: (state, text, metadata) => {
      begin();
      const final = state !== 'working' && state !== 'submitted';
      const message = text === undefined ? {} : { message: messageOf(text, metadata) };
      const status = { state, timestamp: new Date().toISOString(), ...message };
      bus.publish({ kind: 'status-update', ...ids, status, final, ...(metadata && { metadata }) });
      if (final) bus.finished();
    },
    message: (text) => {
      bus.publish(messageOf(text));
      bus.finished();
    },
  };
}
