import type { Changes } from '../replay/rebuild.js';
import { WrongCall } from './wrong-call.js';

/** What `--set` words say: `concurrency=4`, `GROUP.concurrency=12`, `TASK.priority=5`. @throws WrongCall */
export function changesOf(settings: readonly string[]): Changes {
  let concurrency: number | undefined;
  const limits: Record<string, number> = {};
  const priorities: Record<string, number> = {};
  for (const setting of settings) {
    const [, name, what, text] = /^(?:(.+)\.)?(concurrency|priority)=(.+)$/s.exec(setting) ?? [];
    const value = Number(text);
    const fits =
      what === 'priority'
        ? Number.isFinite(value) && name !== undefined
        : Number.isInteger(value) && value >= 1;
    if (what === undefined || !fits)
      throw new WrongCall(`--set ${setting}: give concurrency=N, GROUP.concurrency=N or TASK.priority=N`);
    if (what === 'priority') priorities[name as string] = value;
    else if (name === undefined) concurrency = value;
    else limits[name] = value;
  }
  return { ...(concurrency !== undefined && { concurrency }), limits, priorities };
}
