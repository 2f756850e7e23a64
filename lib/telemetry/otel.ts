import { metrics as api, type BatchObservableResult, type Meter } from '@opentelemetry/api';
import { defer, finalize, type MonoTypeOperatorFunction, tap } from 'rxjs';
import type { WorkflowEvent } from '../model/event.js';
import { Measure, type MetricName, metrics } from './measure.js';

/**
 * Measures a run while its events pass, through OpenTelemetry: `run.events$.pipe(meter()).subscribe()`. Names begin with
 * `rxhive.`; `source` defaults to the meter of the global provider. What was counted is handed over when the provider
 * collects. One call for all runs that are to be one set of gauges.
 */
export function meter(source: Meter = api.getMeter('rxhive')): MonoTypeOperatorFunction<WorkflowEvent> {
  const kept = <T>(kind: string, make: (name: string, options: object) => T): Map<string, T> =>
    new Map(
      Object.entries(metrics)
        .filter(([, one]) => one[0] === kind)
        .map(([name, [, unit, description]]) => [name, make(`rxhive.${name}`, { unit, description })]),
    );
  const counters = kept('counter', (name, options) => source.createCounter(name, options));
  const gauges = kept('gauge', (name, options) => source.createObservableGauge(name, options));
  const histograms = kept('histogram', (name, options) => source.createHistogram(name, options));
  const measure = new Measure((name, labels) => {
    const histogram = histograms.get(name);
    return (value) => histogram?.record(value, labels);
  });
  const observables = [...gauges.values()];
  let watched = 0;
  let asked = false;
  const tell = (result: BatchObservableResult): void => {
    measure.tell({
      add: (name: MetricName, value, labels) => counters.get(name)?.add(value, labels),
      set: (name: MetricName, value, labels) => {
        const gauge = gauges.get(name);
        if (gauge !== undefined) result.observe(gauge, value, labels);
      },
    });
    // Not at once: the provider is going through its callbacks.
    if (watched === 0) queueMicrotask(leave);
  };
  const leave = (): void => {
    if (watched > 0) return;
    source.removeBatchObservableCallback(tell, observables);
    asked = false;
  };
  return (events$) =>
    defer(() => {
      watched += 1;
      if (!asked) source.addBatchObservableCallback(tell, observables);
      asked = true;
      return events$.pipe(
        tap((event) => measure.take(event)),
        finalize(() => {
          watched -= 1;
        }),
      );
    });
}
