/** True for plain data with names: an object literal, or one without a prototype. No class instance, no array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Names through which an object's prototype could be reached: no part of the state may have them. */
export const reservedNames: ReadonlySet<string | number> = new Set(['__proto__', 'constructor', 'prototype']);
