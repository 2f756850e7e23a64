/** The HTTP status an error tells of, as `status`, `statusCode` or that of its `response`. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const facts = error as Record<string, unknown>;
  const response = facts.response as Record<string, unknown> | null | undefined;
  const status = facts.status ?? facts.statusCode ?? response?.status;
  return typeof status === 'number' ? status : undefined;
}
