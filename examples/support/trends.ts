import { linearRegression, sampleCorrelation } from 'simple-statistics';
import type { DataSet } from './data-sets.js';
import { numberOf, type Row } from './profile.js';

/** A line through the points of a data set. */
export interface Trend {
  readonly points: number;
  /** Change of y per step of x. */
  readonly slope: number;
  /** Pearson's r. */
  readonly correlation: number;
  readonly sentence: string;
}

/** Linear regression and correlation of the two columns the data set is asked about. */
export function findTrend(set: DataSet, rows: readonly Row[]): Trend {
  const points: [number, number][] = [];
  for (const row of rows) {
    if (set.where !== undefined && row[set.where[0]] !== set.where[1]) continue;
    const x = numberOf(row[set.x]);
    const y = numberOf(row[set.y]);
    if (x !== undefined && y !== undefined) points.push([x, y]);
  }
  const { m: slope } = linearRegression(points);
  const correlation = sampleCorrelation(
    points.map(([x]) => x),
    points.map(([, y]) => y),
  );
  const strength = Math.abs(correlation) > 0.7 ? 'strong' : Math.abs(correlation) > 0.3 ? 'moderate' : 'weak';
  const which = set.where === undefined ? '' : ` (${set.where[1]})`;
  const per = /year|date/i.test(set.x) ? 'a year' : `for each step of ${set.x}`;
  const sentence =
    `${set.y}${which} ${slope > 0 ? 'rises' : 'falls'} by ${format(Math.abs(slope))} ${set.unit} ${per}; ` +
    `a ${strength} link (r = ${correlation.toFixed(2)}, ${points.length} points).`;
  return { points: points.length, slope, correlation, sentence };
}

/** Four significant digits, no exponent. */
export function format(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString('en-US', { maximumSignificantDigits: 4 });
}
