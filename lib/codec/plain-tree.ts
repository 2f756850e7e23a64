import { deepest } from './writer.js';

/** Objects it looks at: of more, one that is in many places would be walked for ever. */
const most = 1_000_000;

/** True for what `JSON.stringify` writes, and `JSON.parse` reads back, as it is: most values, told at little cost. */
export function isPlainTree(value: unknown): boolean {
  try {
    return isPlain(value, { left: most }, 0);
  } catch {
    return false; // Something threw when it was looked at: the writer says where.
  }
}

function isPlain(value: unknown, budget: { left: number }, depth: number): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true;
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== 'object') return false;
  budget.left -= 1;
  if (budget.left < 0 || depth >= deepest) return false;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Array.prototype && Array.isArray(value)) {
    // A hole reads as undefined, which JSON does not have either; then names beside the places show in their number.
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], budget, depth + 1)) return false;
    if (Object.keys(value).length !== value.length) return false;
  } else if (prototype === Object.prototype) {
    for (const name of Object.keys(value)) {
      if (name === '$' || name === '__proto__') return false;
      const one = (value as Record<string, unknown>)[name];
      // Most are text.
      if (typeof one !== 'string' && !isPlain(one, budget, depth + 1)) return false;
    }
  } else return false;
  return Object.getOwnPropertySymbols(value).length === 0;
}
