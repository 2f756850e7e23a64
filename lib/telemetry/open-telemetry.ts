import { type Attributes, metrics as api, type Meter } from '@opentelemetry/api';
import { type MonoTypeOperatorFunction, tap } from 'rxjs';
import type { WorkflowEvent } from '../model/event.js';
import { Measure, type MetricName, metrics } from './measure.js';

/**
 * Measures a run while its events pass, through OpenTelemetry: `run.events$.pipe(meter()).subscribe()`. Names begin with
 * `rxhive.`; `source` defaults to the meter of the global provider. One call for all runs that are to be one set of gauges.
 */
export function meter(source: Meter = api.getMeter('rxhive')): MonoTypeOperatorFunction<WorkflowEvent> {
  const instruments = new Map<MetricName, (value: number, attributes: Attributes) => void>();
  const record = (name: MetricName, value: number, attributes: Attributes): void => {
    let instrument = instruments.get(name);
    if (instrument === undefined) {
      const [kind, unit, description] = metrics[name];
      const options = { unit, description };
      const full = `rxhive.${name}`;
      if (kind === 'counter') {
        const counter = source.createCounter(full, options);
        instrument = (amount, labels) => counter.add(amount, labels);
      } else if (kind === 'gauge') {
        const gauge = source.createGauge(full, options);
        instrument = (amount, labels) => gauge.record(amount, labels);
      } else {
        const histogram = source.createHistogram(full, options);
        instrument = (amount, labels) => histogram.record(amount, labels);
      }
      instruments.set(name, instrument);
    }
    instrument(value, attributes);
  };
  const measure = new Measure({ add: record, observe: record, set: record });
  return tap((event) => measure.take(event));
}
