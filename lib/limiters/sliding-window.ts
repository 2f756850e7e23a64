import type { Limiter, LimiterSettings } from '../model/limiter.js';
import { WindowLimiter } from './window-limiter.js';

/**
 * A limiter on the clock of the run: in virtual time as in real time. Runs in real time share its ledger, each virtual
 * time has its own. `{ limiter: settings }` means the same; make it yourself to share it, or to `update` it later.
 *
 * ```ts
 * const openai = virtual({ requestsPerMinute: 600, tokensPerMinute: 90_000 });
 * workflow({ name: 'brief', groups: { llm: { limiter: openai }, judge: { limiter: openai } } });
 * ```
 * @throws RxhiveError INVALID_OPTION with everything that makes no sense
 */
export function virtual(settings: LimiterSettings): Limiter {
  return new WindowLimiter(settings);
}
