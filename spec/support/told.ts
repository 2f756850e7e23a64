import { readFileSync } from 'node:fs';
import type { ErrorCode } from '../../lib/kernel/errors.js';

const { homepage } = JSON.parse(readFileSync('package.json', 'utf8')) as { homepage: string };

/** The whole message of an error of rxhive: its words, and the address of its code. */
export function told(code: ErrorCode, words: string): string {
  return `${words} See ${homepage}errors#${code}`;
}
