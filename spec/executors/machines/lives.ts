import { startFile } from '../../support/queue-servers.js';

/** What became of a controller. */
export interface Lives {
  /** What the last one printed. */
  readonly said: string;
  readonly kills: number;
}

/**
 * Starts `file` as a controller, kills it `killAfter` ms later, and starts it again, up to `kills` times; the last one ends by
 * itself. One that prints a line has ended.
 */
export async function lives(
  file: URL,
  env: Readonly<Record<string, string>>,
  { kills, killAfter }: { readonly kills: number; readonly killAfter: number },
): Promise<Lives> {
  for (let killed = 0; ; killed++) {
    let said = '';
    const child = startFile(file, { ...env, ROLE: 'controller', LIFE: String(killed) });
    child.stdout?.on('data', (text: Buffer) => {
      said += text;
    });
    const exit = new Promise<void>((done) => child.once('exit', () => done()));
    const kill = killed < kills ? setTimeout(() => child.kill('SIGKILL'), killAfter) : undefined;
    await exit;
    clearTimeout(kill);
    if (said !== '') return { said: said.trim(), kills: killed };
    if (kill === undefined) throw new Error('The controller ended without a word.');
  }
}
