import client from 'prom-client';
import { type MonoTypeOperatorFunction, tap } from 'rxjs';
import type { WorkflowEvent } from '../model/event.js';
import { Measure, metrics } from './measure.js';

/** Metrics of runs for Prometheus to fetch. */
export interface Prometheus {
  /** Measures a run while its events pass. One {@link Prometheus} may measure many runs. */
  readonly measure: MonoTypeOperatorFunction<WorkflowEvent>;
  /** All metrics as text, with the event loop's delay and memory of the process. */
  text(): Promise<string>;
  /** Type of the text, for the header `content-type`. */
  readonly contentType: string;
  readonly registry: client.Registry;
}

/**
 * Makes metrics named `rxhive_...` in a registry, a new one by default. Needs prom-client beside rxhive.
 * `process: false` leaves out event loop, memory and CPU, for a process that has them already.
 */
export function prometheus(
  options: { readonly registry?: client.Registry; readonly process?: boolean } = {},
): Prometheus {
  const registry = options.registry ?? new client.Registry();
  if (options.process !== false) client.collectDefaultMetrics({ register: registry });
  const tell = (): void =>
    measure.tell({
      add: (name, value, with_) => (all.get(name) as client.Counter).inc(with_, value),
      set: (name, value, with_) => (all.get(name) as client.Gauge).set(with_, value),
    });
  const made = Object.entries(metrics).map(([key, [kind, unit, help, labels]]) => {
    const name = `rxhive_${key}${unit === 's' ? '_seconds' : ''}${kind === 'counter' ? '_total' : ''}`;
    const labelNames = ['workflow', ...labels];
    // Whoever asks for a metric asks for all that has come since the last time.
    const shape = { name, help, labelNames, registers: [registry], collect: tell };
    const metric =
      kind === 'counter'
        ? new client.Counter(shape)
        : kind === 'gauge'
          ? new client.Gauge(shape)
          : new client.Histogram({ ...shape, buckets: [0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300] });
    return [key, metric] as const;
  });
  const all = new Map<string, (typeof made)[number][1]>(made);
  const measure = new Measure((name, with_) => {
    const histogram = (all.get(name) as client.Histogram).labels(with_);
    return (value) => histogram.observe(value);
  });
  return {
    measure: tap((event) => measure.take(event)),
    text: () => registry.metrics(),
    contentType: registry.contentType,
    registry,
  };
}
