import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText, ToolLoopAgent, tool } from 'ai';
import { fromAiSdk } from 'rxhive/ai-sdk';
import { testModel, testTool } from 'rxhive/testing/conformance';
import { test } from 'uvu';
import { z } from 'zod';
import { conform } from './conform.js';

const capital = tool({
  description: testTool.description,
  inputSchema: z.object({ country: z.string() }),
  execute: async () => testTool.answer,
});

conform('ToolLoopAgent', {
  make: (url, { tools, stream }) => {
    const model = createOpenAI({ baseURL: url, apiKey: 'key' }).chat(testModel);
    return fromAiSdk(new ToolLoopAgent({ model, ...(tools && { tools: { [testTool.name]: capital } }) }), {
      stream,
    });
  },
});
conform('generateText and streamText, with /v1/responses', {
  make: (url, { tools, stream }) => {
    const base = {
      model: createOpenAI({ baseURL: url, apiKey: 'key' })(testModel),
      stopWhen: stepCountIs(5),
      ...(tools && { tools: { [testTool.name]: capital } }),
    };
    return fromAiSdk(
      {
        generate: (options: { prompt: string }) => generateText({ ...base, ...options }),
        stream: (options: { prompt: string }) => streamText({ ...base, ...options }),
      },
      { stream },
    );
  },
});

test.run();
