import { mcpSdk } from './mcp-sdk.js';

/** What does not fit, as one sentence; undefined when all does. */
export type Check = (value: unknown) => string | undefined;

interface Validators {
  readonly AjvJsonSchemaValidator: new () => {
    getValidator(
      schema: never,
    ): (value: unknown) => { readonly valid: boolean; readonly errorMessage?: string };
  };
}

const deepest = 32;
const mostNodes = 5_000;
/** What may take longer than any bound on data that somebody chose for it, or looks elsewhere. */
const left = new Set(['pattern', 'patternProperties', 'uniqueItems', '$schema', '$id', 'id']);
/** Below these stand names that were chosen freely. */
const named = new Set(['properties', '$defs', 'definitions', 'dependentSchemas']);

/**
 * Compiles a JSON schema that came from somebody else. Regular expressions and uniqueness in it are not checked: a server
 * could stop this process with them.
 * @throws Error for one that is too large, or no schema
 */
export async function checkOf(schema: unknown): Promise<Check> {
  const { AjvJsonSchemaValidator } = await mcpSdk<Validators>('validation/ajv-provider.js');
  const validate = new AjvJsonSchemaValidator().getValidator(harmless(schema) as never);
  return (value) => {
    const { valid, errorMessage } = validate(value);
    return valid ? undefined : (errorMessage ?? 'it does not fit');
  };
}

/** A copy without what could do harm. @throws Error */
export function harmless(schema: unknown): unknown {
  let nodes = 0;
  const copy = (value: unknown, depth: number, names: boolean): unknown => {
    nodes += 1;
    if (nodes > mostNodes || depth > deepest) throw new Error('The schema is too large.');
    if (Array.isArray(value)) return value.map((one) => copy(one, depth + 1, false));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).filter(([key]) => names || !left.has(key));
    return Object.fromEntries(
      entries
        .filter(([key]) => key !== '__proto__')
        .map(([key, one]) => [key, copy(one, depth + 1, !names && named.has(key))]),
    );
  };
  return copy(schema, 0, false);
}
