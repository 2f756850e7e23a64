import { RxhiveError } from '../kernel/errors.js';

/**
 * What a server of queues or its client says, without what could hold a secret of `connection`, its address or options.
 */
export function queueFailed(
  error: unknown,
  server: 'Redis' | 'PostgreSQL',
  connection: string | object | undefined,
): RxhiveError {
  if (error instanceof RxhiveError) return error;
  const { code, errors, message } = (error ?? {}) as {
    code?: unknown;
    errors?: unknown[];
    message?: unknown;
  };
  const first = Array.isArray(errors) ? (errors[0] as { message?: unknown } | undefined) : undefined;
  const said = clean(String(first?.message || message || code || 'unknown error'), connection);
  return new RxhiveError(
    'QUEUE_FAILED',
    `The queues in ${server} cannot be used: ${said.replace(/[.\s]*$/, '')}.`,
    { details: typeof code === 'string' ? { code } : {} },
  );
}

function clean(text: string, connection: string | object | undefined): string {
  const secrets =
    typeof connection === 'string'
      ? [connection, ...passwordsIn(connection)]
      : Object.values(connection ?? {}).filter(
          (one): one is string => typeof one === 'string' && one.length > 3,
        );
  return secrets.reduce((result, one) => (one === '' ? result : result.replaceAll(one, '***')), text);
}

function passwordsIn(address: string): readonly string[] {
  const written = [/:\/\/[^/@]*?:([^@]*)@/.exec(address)?.[1], /[?&]password=([^&]*)/.exec(address)?.[1]];
  const texts = written.filter((one): one is string => one !== undefined);
  return texts.flatMap((one) => {
    try {
      return [one, decodeURIComponent(one)];
    } catch {
      return [one];
    }
  });
}
