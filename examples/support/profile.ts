import { csvParse } from 'd3-dsv';
import { max, mean, medianSorted, min } from 'simple-statistics';

/** One row as it came. */
export type Row = Readonly<Record<string, unknown>>;

/** What a column looks like. Numbers are null for a column without any. */
export interface ColumnProfile {
  readonly column: string;
  readonly missing: number;
  readonly numbers: { min: number; median: number; mean: number; max: number } | null;
}

/** Rows of a JSON or CSV file. */
export function parse(file: string, text: string): Row[] {
  return file.endsWith('.json') ? (JSON.parse(text) as Row[]) : [...csvParse(text)];
}

/** A finite number, a date as fractional year, or undefined. */
export function numberOf(value: unknown): number | undefined {
  if (value === null || value === undefined || value === '') return undefined;
  const number = Number(value);
  if (Number.isFinite(number)) return number;
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : 1970 + time / 31_556_952_000;
}

/** Missing values and numeric summary of each column. */
export function profile(rows: readonly Row[]): ColumnProfile[] {
  return Object.keys(rows[0] ?? {}).map((column) => {
    const values = rows.map((row) => row[column]);
    const missing = values.filter((value) => value === null || value === undefined || value === '').length;
    const numbers = values.map(numberOf).filter((value) => value !== undefined);
    if (numbers.length === 0) return { column, missing, numbers: null };
    const sorted = numbers.sort((a, b) => a - b);
    return {
      column,
      missing,
      numbers: { min: min(sorted), median: medianSorted(sorted), mean: mean(sorted), max: max(sorted) },
    };
  });
}
