import type { ServerResponse } from 'node:http';

/** A message of a transcript, whatever API it came through. */
export interface ModelMessage {
  readonly role: string;
  readonly text: string;
  /** Of an assistant: the tools it called. */
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: string }[];
}

/** A tool that the client offers. */
export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its arguments. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A request for an answer, read. */
export interface ModelRequest {
  readonly api: 'chat' | 'responses';
  readonly model: string;
  /** The transcript that was sent, system message included. */
  readonly messages: readonly ModelMessage[];
  /** Text of the last user message. */
  readonly prompt: string;
  readonly tools: readonly OfferedTool[];
  /** `auto`, `none`, `required`, or the name of a tool. */
  readonly toolChoice: string;
  readonly stream: boolean;
  /** Characters of the transcript / 4. */
  readonly inputTokens: number;
  /** Most tokens of the answer, as the body says. Default 16. */
  readonly maxTokens: number;
  /** The body as it came. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** An answer in detail. All fields are optional; `{}` is an empty answer. */
export interface Reply {
  readonly text?: string;
  /** Tools that the client shall call. */
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: unknown }[];
  /** Default `stop`, or `tool_calls` where there are some. */
  readonly finishReason?: 'stop' | 'length' | 'tool_calls' | 'content_filter';
  /** Default: characters / 4. */
  readonly usage?: { readonly inputTokens: number; readonly outputTokens: number };
  /** An HTTP status from 400 makes it an error with `text` as its message. Default 200. */
  readonly status?: number;
  /** Code of an error, such as `context_length_exceeded`. */
  readonly code?: string;
  /** More headers, such as `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ms before the answer begins. Default: that of the server. */
  readonly latency?: number;
  /** `broken-json`: half a body; `drop`: closes the connection, `drop-midway`: half way; `hang`: never answers. */
  readonly fault?: 'broken-json' | 'drop' | 'drop-midway' | 'hang';
}

/** What the server answers: a text, or in detail. */
export type Answer = string | Reply;

/** How a stream is cut. */
export interface Pace {
  readonly chunk: number;
  readonly pause: number;
  wait(ms: number): Promise<void>;
}

type Bag = Readonly<Record<string, unknown>>;

/** Reads a request; undefined: it is none that this server knows. */
export function readRequest(path: string, text: string): ModelRequest | undefined {
  const api = path === '/v1/chat/completions' ? 'chat' : path === '/v1/responses' ? 'responses' : undefined;
  if (api === undefined) return undefined;
  try {
    const body = JSON.parse(text) as Bag;
    const messages = api === 'chat' ? chatMessages(body) : responseMessages(body);
    const characters = messages.reduce((sum, one) => sum + one.text.length, 0);
    const offered = Array.isArray(body.tools) ? (body.tools as Bag[]) : [];
    return {
      api,
      model: String(body.model ?? 'local'),
      messages,
      prompt: messages.findLast(({ role }) => role === 'user')?.text ?? '',
      tools: offered
        .filter(({ type }) => type === 'function')
        .map((one) => toolOf((one.function ?? one) as Bag)),
      toolChoice: choiceOf(body.tool_choice),
      stream: body.stream === true,
      inputTokens: Math.ceil(characters / 4),
      maxTokens: Number(body.max_tokens ?? body.max_completion_tokens ?? body.max_output_tokens ?? 16),
      body,
    };
  } catch {
    return undefined;
  }
}

function toolOf({ name, description, parameters }: Bag): OfferedTool {
  return {
    name: String(name),
    description: String(description ?? ''),
    parameters: (parameters ?? {}) as Bag,
  };
}

function choiceOf(choice: unknown): string {
  if (typeof choice === 'string') return choice;
  const { name, function: named } = (choice ?? {}) as { name?: string; function?: { name?: string } };
  return name ?? named?.name ?? 'auto';
}

/** Text of a content, which is a text or a list of parts. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content))
    return content === null || content === undefined ? '' : JSON.stringify(content);
  return (content as Bag[]).map((part) => (typeof part.text === 'string' ? part.text : '')).join('');
}

function chatMessages(body: Bag): ModelMessage[] {
  return (body.messages as Bag[]).map(({ role, content, tool_calls }) => ({
    role: String(role),
    text: textOf(content),
    ...(Array.isArray(tool_calls) && {
      toolCalls: (tool_calls as { function: { name: string; arguments: string } }[]).map(
        (one) => one.function,
      ),
    }),
  }));
}

function responseMessages({ instructions, input }: Bag): ModelMessage[] {
  const system = typeof instructions === 'string' ? [{ role: 'system', text: instructions }] : [];
  if (typeof input === 'string') return [...system, { role: 'user', text: input }];
  const items = (input as Bag[]).map((item): ModelMessage => {
    if (item.type === 'function_call') {
      const call = { name: String(item.name), arguments: String(item.arguments) };
      return { role: 'assistant', text: '', toolCalls: [call] };
    }
    if (item.type === 'function_call_output') return { role: 'tool', text: textOf(item.output) };
    return { role: String(item.role), text: textOf(item.content) };
  });
  return [...system, ...items];
}

let made = 0;
const idOf = (kind: string): string => `${kind}_${++made}`;

/** A reply with everything filled in. */
interface Full {
  readonly id: string;
  readonly text: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly finish: string;
  readonly input: number;
  readonly output: number;
}

/** Writes the answer in the shape that was asked for. Ends early when the client goes away. */
export async function writeReply(
  request: ModelRequest,
  reply: Reply,
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
  pace: Pace,
): Promise<void> {
  const calls = (reply.toolCalls ?? []).map(({ name, arguments: given }) => ({
    id: idOf('call'),
    name,
    arguments: typeof given === 'string' ? given : JSON.stringify(given),
  }));
  const text = reply.text ?? '';
  const characters = text.length + calls.reduce((sum, one) => sum + one.arguments.length, 0);
  const full: Full = {
    id: idOf(request.api === 'chat' ? 'chatcmpl' : 'resp'),
    text,
    calls,
    finish: reply.finishReason ?? (calls.length > 0 ? 'tool_calls' : 'stop'),
    input: reply.usage?.inputTokens ?? request.inputTokens,
    output: reply.usage?.outputTokens ?? Math.max(1, Math.ceil(characters / 4)),
  };
  if (!request.stream) {
    const body = JSON.stringify(
      request.api === 'chat' ? chatBody(request, full) : responseBody(request, full),
    );
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    if (reply.fault === 'drop-midway') {
      response.write(body.slice(0, body.length / 2), () => response.destroy());
      return;
    }
    response.end(reply.fault === 'broken-json' ? body.slice(0, body.length / 2) : body);
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...headers });
  let written = 0;
  for (const event of request.api === 'chat'
    ? chatEvents(request, full, pace)
    : responseEvents(request, full, pace)) {
    if (response.destroyed) return;
    const data = JSON.stringify(event);
    const name = request.api === 'responses' ? `event: ${(event as { type: string }).type}\n` : '';
    const cut = reply.fault === 'broken-json' && ++written > 1 ? data.slice(0, data.length / 2) : data;
    response.write(`${name}data: ${cut}\n\n`);
    if (reply.fault === 'drop-midway' && ++written > 2) {
      await pace.wait(5); // what was written gets there
      response.destroy();
      return;
    }
    if (pace.pause > 0) await pace.wait(pace.pause);
  }
  response.end(request.api === 'chat' ? 'data: [DONE]\n\n' : undefined);
}

function* pieces(text: string, size: number): Generator<string> {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

function chatUsage({ input, output }: Full): Bag {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}

function chatBody({ model }: ModelRequest, full: Full): Bag {
  const tool_calls = full.calls.map(({ id, ...call }) => ({ id, type: 'function', function: call }));
  const message = {
    role: 'assistant',
    content: full.text === '' && tool_calls.length > 0 ? null : full.text,
    ...(tool_calls.length > 0 && { tool_calls }),
  };
  return {
    id: full.id,
    object: 'chat.completion',
    created: 0,
    model,
    choices: [{ index: 0, finish_reason: full.finish, message, logprobs: null }],
    usage: chatUsage(full),
  };
}

function* chatEvents({ model, body }: ModelRequest, full: Full, { chunk }: Pace): Generator<Bag> {
  const base = { id: full.id, object: 'chat.completion.chunk', created: 0, model };
  const delta = (one: Bag, finish_reason: string | null = null): Bag => ({
    ...base,
    choices: [{ index: 0, delta: one, finish_reason }],
  });
  yield delta({ role: 'assistant', content: '' });
  for (const content of pieces(full.text, chunk)) yield delta({ content });
  for (const [index, { id, name, arguments: given }] of full.calls.entries()) {
    yield delta({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] });
    for (const piece of pieces(given, chunk))
      yield delta({ tool_calls: [{ index, function: { arguments: piece } }] });
  }
  yield delta({}, full.finish);
  if ((body.stream_options as { include_usage?: unknown } | undefined)?.include_usage === true)
    yield { ...base, choices: [], usage: chatUsage(full) };
}

function messageItem(full: Full, text: string, status: string): Bag {
  const content =
    status === 'completed' ? [{ type: 'output_text', text, annotations: [], logprobs: [] }] : [];
  return { id: `${full.id}_msg`, type: 'message', role: 'assistant', status, content };
}

function callItem({ id, name }: Full['calls'][number], given: string, status: string): Bag {
  return { id: `${id}_item`, type: 'function_call', call_id: id, name, arguments: given, status };
}

function responseBody({ model, body }: ModelRequest, full: Full, status = 'completed'): Bag {
  const done = status === 'completed';
  const messages =
    full.text === '' && full.calls.length > 0 ? [] : [messageItem(full, full.text, 'completed')];
  const cut =
    full.finish === 'length' ? 'max_output_tokens' : full.finish === 'content_filter' ? full.finish : null;
  return {
    id: full.id,
    object: 'response',
    created_at: 0,
    status: done && cut !== null ? 'incomplete' : status,
    error: null,
    incomplete_details: done && cut !== null ? { reason: cut } : null,
    instructions: body.instructions ?? null,
    model,
    output: done
      ? [...messages, ...full.calls.map((call) => callItem(call, call.arguments, 'completed'))]
      : [],
    parallel_tool_calls: true,
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    metadata: {},
    usage: done
      ? {
          input_tokens: full.input,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: full.output,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: full.input + full.output,
        }
      : null,
  };
}

function* responseEvents(request: ModelRequest, full: Full, { chunk }: Pace): Generator<Bag> {
  let sequence_number = 0;
  const event = (type: string, rest: Bag): Bag => ({ type, sequence_number: sequence_number++, ...rest });
  yield event('response.created', { response: responseBody(request, full, 'in_progress') });
  let output_index = 0;
  if (full.text !== '' || full.calls.length === 0) {
    const at = { item_id: `${full.id}_msg`, output_index, content_index: 0 };
    yield event('response.output_item.added', { output_index, item: messageItem(full, '', 'in_progress') });
    const empty = { type: 'output_text', text: '', annotations: [] };
    yield event('response.content_part.added', { ...at, part: empty });
    for (const delta of pieces(full.text, chunk))
      yield event('response.output_text.delta', { ...at, delta, logprobs: [] });
    yield event('response.output_text.done', { ...at, text: full.text, logprobs: [] });
    yield event('response.content_part.done', { ...at, part: { ...empty, text: full.text } });
    yield event('response.output_item.done', {
      output_index,
      item: messageItem(full, full.text, 'completed'),
    });
    output_index += 1;
  }
  for (const call of full.calls) {
    const at = { item_id: `${call.id}_item`, output_index };
    yield event('response.output_item.added', { output_index, item: callItem(call, '', 'in_progress') });
    for (const delta of pieces(call.arguments, chunk))
      yield event('response.function_call_arguments.delta', { ...at, delta });
    yield event('response.function_call_arguments.done', { ...at, arguments: call.arguments });
    yield event('response.output_item.done', {
      output_index,
      item: callItem(call, call.arguments, 'completed'),
    });
    output_index += 1;
  }
  const whole = responseBody(request, full);
  yield event(whole.status === 'incomplete' ? 'response.incomplete' : 'response.completed', {
    response: whole,
  });
}
