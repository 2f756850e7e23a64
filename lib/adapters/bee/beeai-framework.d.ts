/**
 * The types of BeeAI that public types here name, for the compiler where BeeAI is not installed. Not part of the package:
 * there the names mean BeeAI's own types.
 */
declare module 'beeai-framework/emitter/emitter' {
  export class Emitter<T> {
    on<K extends keyof T>(event: K, callback: T[K]): () => void;
  }
}
declare module 'beeai-framework/memory/base' {
  export abstract class BaseMemory {
    abstract get messages(): readonly { readonly role: string; readonly text: string }[];
  }
}
declare module 'beeai-framework/backend/message' {
  export class AssistantMessage {
    get text(): string;
  }
}
declare module 'beeai-framework/agents/base' {
  export abstract class BaseAgent<I, O, P> {
    abstract readonly emitter: unknown;
    run(input: I, options?: P): PromiseLike<O>;
  }
}
declare module 'beeai-framework/agents/requirement/types' {
  export interface RequirementAgentRunInput {
    context?: string;
    expectedOutput?: unknown;
  }
}
declare module 'beeai-framework/tools/base' {
  export abstract class ToolOutput {
    abstract getTextContent(): string;
  }
  export abstract class Tool<O extends ToolOutput> {
    run(input: never, options?: { readonly signal?: AbortSignal }): PromiseLike<O>;
  }
}
