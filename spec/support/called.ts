import { main } from '../../lib/cli/dispatch.js';
import { Output } from '../../lib/cli/output.js';

/** What a call of the command came to. */
export interface Called {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Calls the command in this process. What a module prints by itself is not seen. */
export async function called(...words: string[]): Promise<Called> {
  const texts = { stdout: '', stderr: '' };
  const into = (name: keyof typeof texts): { write(text: string): void } => ({
    write: (text) => {
      texts[name] += text;
    },
  });
  const out = new Output(words.includes('--json'), { stdout: into('stdout'), stderr: into('stderr') });
  const code = await main(words, out);
  return { code, ...texts };
}
