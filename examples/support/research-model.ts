import { OpenAIServer } from '../../lib/testing/index.js';

/** Where a model is, and how to say so. */
export interface ModelAddress {
  readonly name: string;
  readonly baseURL: string;
  readonly apiKey: string;
  readonly described: string;
  close(): Promise<void>;
}

/** The provider that `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `OPENAI_CHAT_MODEL` name, else a local server that plays one. */
export async function modelAddress(): Promise<ModelAddress> {
  const { OPENAI_BASE_URL, OPENAI_API_KEY: apiKey = 'none', OPENAI_CHAT_MODEL = 'gpt-5-mini' } = process.env;
  if (OPENAI_BASE_URL !== undefined) {
    const described = `${OPENAI_CHAT_MODEL} at ${new URL(OPENAI_BASE_URL).host}`;
    const close = (): Promise<void> => Promise.resolve();
    return { name: OPENAI_CHAT_MODEL, baseURL: OPENAI_BASE_URL, apiKey, described, close };
  }
  const latency = 300;
  const server = await OpenAIServer.listen({ latency, answer: researchModel });
  const described = `a local server plays the model, with ${latency} ms a call; set OPENAI_BASE_URL and OPENAI_API_KEY for a real one`;
  return { name: 'local', baseURL: server.url, apiKey, described, close: () => server.close() };
}

/** What the local server answers, by the role in the system message. */
function researchModel(request: {
  readonly messages: readonly { readonly text: string }[];
  readonly prompt: string;
}): { toolCalls: { name: string; arguments: unknown }[] } {
  return { toolCalls: [{ name: 'final_answer', arguments: { response: words(request) } }] };
}

function words({ messages, prompt }: Parameters<typeof researchModel>[0]): string {
  const role = /(planner|researcher|writer)/.exec(messages[0]?.text ?? '')?.[1];
  if (role === 'planner')
    return 'Who looks for places?\nWhat makes a place good?\nHow do they agree?\nWhen do they leave?';
  const question = prompt.split('\n').find((line) => line.includes('?'));
  if (role === 'researcher') return `${question?.trim()} Bees have it worked out.`;
  const found = prompt.match(/worked out/g)?.length ?? 0;
  return `In short: ${found} questions were looked into, and bees have it worked out.`;
}
