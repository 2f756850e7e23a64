/** A value as it would be written in a program. */
export function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'string')
    return `'${JSON.stringify(value).slice(1, -1).replaceAll("'", "\\'").replaceAll('\\"', '"')}'`;
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).map(([key, one]) => {
    // Written plainly it would set the prototype.
    if (key === '__proto__') return `['__proto__']: ${literal(one)}`;
    const name = /^[A-Za-z_$][\w$]*$/.test(key) ? key : literal(key);
    return `${name}: ${literal(one)}`;
  });
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}
