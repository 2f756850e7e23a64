// An agent as a command: asks a model over HTTP, with a loop for tools, and tells it all in lines of JSON.
import { readFileSync } from 'node:fs';

const [url, model, tool, answer, stream] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const input = JSON.parse(readFileSync(0, 'utf8'));
const content = typeof input === 'string' ? input : input.data.prompt;
const messages = [{ role: 'user', content }];
const tools = tool === '' ? undefined : [{ type: 'function', function: { name: tool, parameters: {} } }];

async function ask() {
  const body = JSON.stringify({ model, messages, tools, stream: stream === 'stream' });
  const response = await fetch(`${url}/chat/completions`, { method: 'POST', body });
  const text = stream === 'stream' ? await streamed(response) : await response.text();
  if (response.ok) return text;
  const { message, code } = JSON.parse(text).error;
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const { status } = response;
  say({ error: { message, code, status, ...(!Number.isNaN(retryAfter) && { retryAfter }) } });
  process.exit(0);
}

async function streamed(response) {
  let text = '';
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n\n');
    rest = lines.pop();
    for (const line of lines) {
      const piece =
        line === 'data: [DONE]' ? '' : (JSON.parse(line.slice(6)).choices[0]?.delta.content ?? '');
      text += piece;
      if (piece !== '') say(text);
    }
  }
  return text;
}

for (;;) {
  const text = await ask();
  if (stream === 'stream') break;
  const { choices, usage } = JSON.parse(text);
  say({ usage: { inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens, model } });
  const { message } = choices[0];
  const call = message.tool_calls?.[0];
  if (call === undefined) {
    say({ result: message.content });
    break;
  }
  messages.push(message, { role: 'tool', tool_call_id: call.id, content: answer });
}
