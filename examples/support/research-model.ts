/** What a local server answers for the agents of `beeai-research.ts`, by the role in their system message. */
export function researchModel(request: {
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
