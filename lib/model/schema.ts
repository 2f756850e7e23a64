import { truncate } from '../kernel/errors.js';
import { badReturn, callUser, faultOf } from '../kernel/guard.js';
import { isPromise } from '../kernel/maybe-promise.js';

/** The part of the Standard Schema interface rxhive calls. Source: standardschema.dev, version 1. */
export interface StandardSchema<out T = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<T> | PromiseLike<StandardResult<T>>;
    readonly types?: { readonly input: unknown; readonly output: T } | undefined;
  };
}

/** Outcome of a Standard Schema check. */
export type StandardResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly unknown[] | undefined;
      }[];
    };

/** One thing that does not fit a schema. */
export interface SchemaIssue {
  /** Where, as `steps.0.title`; empty for the value as a whole. */
  readonly path: string;
  /** What the schema's library says. It may show a part of the value. */
  readonly message: string;
}

/** What a schema made of a value. */
export type Validation<T> = { readonly value: T } | { readonly issues: readonly SchemaIssue[] };

/** A schema that accepts everything and only carries a type: `input: typed<{ url: string }>()`. */
export function typed<T>(): StandardSchema<T> {
  return { '~standard': { version: 1, vendor: 'rxhive', validate: (value) => ({ value: value as T }) } };
}

/** True for something whose schema can be asked. */
export function isSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as Partial<StandardSchema>)['~standard'];
  return typeof standard?.validate === 'function';
}

/** Longest JSON Schema that is told, in characters. */
const longest = 20_000;

/**
 * What may be given, as JSON Schema (2020-12), for forms and prompts; undefined where the library of the schema does not say,
 * or says more than 20,000 characters. Source: Standard JSON Schema, standardschema.dev, version 1 (zod 4.2 and others).
 */
export function jsonSchemaOf(schema: StandardSchema): Readonly<Record<string, unknown>> | undefined {
  const { jsonSchema } = schema['~standard'] as {
    readonly jsonSchema?: { input(options: { readonly target: string }): Record<string, unknown> };
  };
  try {
    const { $schema: _, ...told } = jsonSchema?.input({ target: 'draft-2020-12' }) ?? {};
    const text = JSON.stringify(told);
    // A copy: what a library keeps to itself can change, and is more than plain data.
    return text === '{}' || text.length > longest ? undefined : JSON.parse(text);
  } catch {
    return undefined; // Not every schema can be told.
  }
}

/** Asks a schema about a value; a promise where the schema answers later. @throws RxhiveError CALLBACK_FAILED, or rejects with it */
export function validate<T>(
  schema: StandardSchema<T>,
  value: unknown,
): Validation<T> | PromiseLike<Validation<T>> {
  const answer = callUser(name, () => schema['~standard'].validate(value));
  if (!isPromise(answer)) return validationOf(answer);
  return answer.then(validationOf, (error: unknown) => {
    throw faultOf(error, name);
  });
}

/** The places of issues, for messages: what stands there may be a secret. */
export function placesOf(issues: readonly SchemaIssue[]): string {
  const places = [...new Set(issues.map(({ path }) => (path === '' ? 'the value itself' : path)))];
  const more = places.length > 10 ? ` and ${places.length - 10} more places` : '';
  return `${places.slice(0, 10).map(truncate).join(', ')}${more}`;
}

const name = 'A schema';

function validationOf<T>(answer: StandardResult<T>): Validation<T> {
  if (typeof answer !== 'object' || answer === null) throw badReturn(name, answer, '{ value } or { issues }');
  return callUser(name, () =>
    answer.issues === undefined
      ? { value: answer.value }
      : { issues: answer.issues.map(({ message, path }) => ({ path: textOf(path ?? []), message })) },
  );
}

/** Parts of a path are keys, or objects that hold one. */
function textOf(path: readonly unknown[]): string {
  return path
    .map((part) => String(typeof part === 'object' && part !== null ? (part as { key?: unknown }).key : part))
    .join('.');
}
