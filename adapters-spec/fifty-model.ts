// The model that fifty.ts asks, in a process of its own, as a provider is: 300 ms a call.
import { OpenAIServer } from 'rxhive/testing';

const server = await OpenAIServer.listen({ latency: 300 });
process.send?.({ url: server.url });
process.on('message', () => {
  const asked = server.requests.filter(({ messages }) => messages.some(({ text }) => /<\d+>/.test(text)));
  const mixed = asked.filter(
    ({ messages }) => new Set(messages.flatMap(({ text }) => text.match(/<\d+>/g) ?? [])).size !== 1,
  );
  process.send?.({ asked: asked.length, mixed: mixed.length });
});
process.on('disconnect', () => process.exit());
