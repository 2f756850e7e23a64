import type { RunStatus } from '../model/status.js';

/** What the exit codes of the command mean. */
export const exitCodes = {
  succeeded: 0,
  failed: 1,
  partial: 1,
  /** Nothing was started: an argument, a file or a module cannot be used. */
  wrongCall: 2,
  /** It waits for answers of people, or was drained. */
  suspended: 3,
  cancelled: 130,
} as const satisfies Readonly<Record<RunStatus | 'wrongCall', number>>;

/** For `--help`. */
export const exitCodeHelp = `Exit codes
  0    succeeded
  1    failed or partial
  2    wrong call: nothing was started
  3    suspended: it waits for answers of people, or was drained
  130  cancelled`;
