import type { TimeKind } from '../model/status.js';

/** What a task waited for, or that it ran. */
export type SpanKind = TimeKind;

/** A stretch of a task's life, ms of the run. All have the same fields: there are several for each task. */
export class Span {
  readonly kind: SpanKind;
  readonly from: number;
  /** Undefined while it lasts. */
  to: number | undefined = undefined;
  /** With `running`: number of the attempt. */
  attempt: number | undefined;
  /** With `running`: how the attempt ended. */
  end: string | undefined = undefined;

  constructor(kind: SpanKind, from: number, attempt?: number) {
    this.kind = kind;
    this.from = from;
    this.attempt = attempt;
  }
}

/** Ends the span that lasts; `permitMs` of a wait for a slot were for a permit. */
export function closeSpan(spans: Span[], at: number, permitMs = 0): void {
  const span = spans.at(-1);
  if (span === undefined || span.to !== undefined) return;
  span.to = at;
  if (span.kind !== 'slot' || !(permitMs > 0)) {
    if (span.from === at && span.kind !== 'running') spans.pop();
    return;
  }
  const split = Math.max(span.from, at - permitMs);
  spans.pop();
  if (split > span.from) {
    span.to = split;
    spans.push(span);
  }
  const permit = new Span('permit', split);
  permit.to = at;
  spans.push(permit);
}
