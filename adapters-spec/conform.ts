import { type AgentSubject, agentConformance } from 'rxhive/testing/conformance';
import { test } from 'uvu';

/** Makes a test of each check of the contract. They wait most of the time, so all of them are begun at once. */
export function conform(name: string, subject: AgentSubject): void {
  hold(name, agentConformance(subject), subject.skip);
}

/** The same for checks that are of another copy of rxhive. */
export function hold(
  name: string,
  checks: readonly { readonly name: string; run(): Promise<void> }[],
  skipped: AgentSubject['skip'] = {},
): void {
  for (const [check, reason] of Object.entries(skipped)) console.log(`skipped: ${name}: ${check}: ${reason}`);
  let begun: Map<string, Promise<unknown>> | undefined;
  for (const { name: what } of checks)
    test(`${name}: ${what}`, async () => {
      begun ??= new Map(
        checks.map((one) => [one.name, one.run().catch((error: unknown) => error ?? new Error())]),
      );
      const failed = await begun.get(what);
      // The framework's errors are too large for the reporter.
      if (failed !== undefined) throw new Error(String((failed as Error).message), { cause: undefined });
    });
}
