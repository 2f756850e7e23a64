import { AnswerRefusedError, withoutAddress } from '../../kernel/errors.js';
import type { McpContent } from './mcp-tool.js';

/** What a tool gives, as the protocol has it. */
export interface McpToolResult {
  readonly content: readonly McpContent[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  readonly isError?: boolean;
}

/** An answer as a result. @throws TypeError for what is no JSON */
export function given(answer: unknown): McpToolResult {
  const text = typeof answer === 'string' ? answer : (JSON.stringify(answer) ?? '');
  const isRecord = typeof answer === 'object' && answer !== null && !Array.isArray(answer);
  const content = [{ type: 'text', text }];
  if (!isRecord) return { content };
  return { content, structuredContent: JSON.parse(text) as Readonly<Record<string, unknown>> };
}

/** A failed call, and why. */
export function failed(error: unknown): McpToolResult {
  const text = withoutAddress(error instanceof Error ? error.message : String(error));
  const refused =
    error instanceof AnswerRefusedError ? `: ${error.issues.map(({ message }) => message).join(', ')}` : '';
  return { content: [{ type: 'text', text: `${text}${refused}` }], isError: true };
}
