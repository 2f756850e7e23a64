/** One named check of a conformance suite, for any test runner: it rejects when what is tested does not conform. */
export interface ConformanceCheck {
  readonly name: string;
  /** Why it cannot be run here; it is not to be called then. */
  readonly skip?: string;
  run(): Promise<void>;
}

/** Two values are the same JSON. @throws Error that shows both */
export function same(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a === b) return;
  const short = (text: string): string => (text.length > 500 ? `${text.slice(0, 500)}…` : text);
  throw new Error(`${what}: expected ${short(String(b))}, got ${short(String(a))}`);
}

/** `work` throws or rejects with an error of this code. @throws Error where it does not */
export async function refused(work: () => unknown, code: string, what: string): Promise<void> {
  try {
    await work();
  } catch (error) {
    const got = (error as { code?: unknown }).code;
    if (got === code) return;
    throw new Error(`${what}: expected an error with code ${code}, got ${String(got)}`, { cause: error });
  }
  throw new Error(`${what}: expected an error with code ${code}, got none`);
}
