import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { type Observable, share, timer } from 'rxjs';
import { buffered, eventLines, type Middleware, type WorkflowEvent, workflow } from '../dist/index.js';
import { meter } from '../dist/telemetry/otel.js';
import { prometheus } from '../dist/telemetry/prometheus.js';
import { tracing } from '../dist/telemetry/tracing.js';
import { keepLines } from '../lib/cli/log-file.js';
import { RunView } from '../lib/views/run-view.js';

type Events = Observable<WorkflowEvent>;

/** One way to watch a run. */
interface Layer {
  readonly middleware?: () => Middleware;
  /** Subscribes; what is returned is called at the end. */
  readonly watch?: (events$: Events) => (() => void) | undefined;
}

const file = join(tmpdir(), `rxhive-observe-${process.pid}.jsonl`);

function log(events$: Events, redacted = true): () => void {
  keepLines(events$.pipe(eventLines(redacted ? {} : { redact: false })), file);
  return () => rmSync(file);
}

function view(events$: Events): undefined {
  const seen = new RunView({ events: 0 });
  events$.subscribe((event) => seen.apply(event));
}

/** A reader that needs 5 ms for an event. */
function slow(events$: Events): undefined {
  events$.pipe(buffered(() => timer(5), { capacity: 1_000 })).subscribe();
}

function measured(events$: Events): Events {
  return events$.pipe(prometheus({ process: false }).measure, share());
}

/** Spans of OpenTelemetry's SDK, in batches, to an exporter that drops them. */
function sdk(): Middleware {
  const exporter = {
    export: (_: unknown, done: (result: { code: 0 }) => void) => done({ code: 0 }),
    shutdown: async () => undefined,
  };
  const provider = new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
  return tracing({ tracer: provider.getTracer('bench') });
}

function inMemory(events$: Events): Events {
  const shared$ = measured(events$);
  view(shared$);
  slow(shared$);
  return shared$;
}

const layers: Readonly<Record<string, Layer>> = {
  nobody: {},
  events: { watch: (events$) => void events$.subscribe() },
  'a slow reader behind buffered()': { watch: slow },
  'Prometheus metrics': { watch: (events$) => void measured(events$).subscribe() },
  'OpenTelemetry metrics': {
    watch: (events$) => void events$.pipe(meter(new MeterProvider().getMeter('bench'))).subscribe(),
  },
  'view model of terminal and page': { watch: view },
  'log file, secrets hidden': { watch: log },
  'log file, nothing hidden': { watch: (events$) => log(events$, false) },
  'tracing() without a provider': { middleware: tracing },
  'tracing() into the SDK': { middleware: sdk },
  'all but log file and SDK': { middleware: tracing, watch: (events$) => void inMemory(events$) },
  'all but the SDK': { middleware: tracing, watch: (events$) => log(inMemory(events$)) },
  'all of it': { middleware: sdk, watch: (events$) => log(inMemory(events$)) },
};

async function cost({ middleware, watch }: Layer, tasks: number): Promise<{ cpu: number; wall: number }> {
  const flow = workflow({ name: 'observed', concurrency: 100, groups: { llm: { concurrency: 100 } } });
  for (let i = 0; i < tasks; i++) flow.task(`t${i}`, { group: 'llm', type: 'agent', run: async () => i });
  const run = flow.run({ learn: false, ...(middleware && { middleware: [middleware()] }) });
  const begun = performance.now();
  const before = process.cpuUsage();
  const end = watch?.(run.events$);
  await run.result();
  end?.();
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / tasks, wall: ((performance.now() - begun) * 1_000) / tasks };
}

/** Names of all layers; the first watches nothing. */
export const names = Object.keys(layers);

/** Us per task, processor and wall: the least of several runs, for what else the machine does adds to each. */
export async function least(name: string, tasks: number): Promise<{ cpu: number; wall: number }> {
  const layer = layers[name] ?? {};
  // As long as a service has run that is worth watching: compiling is over.
  for (let i = 0; i < 20; i++) await cost(layer, 10_000);
  const best = { cpu: Number.POSITIVE_INFINITY, wall: Number.POSITIVE_INFINITY };
  for (let i = 0; i < (tasks > 50_000 ? 4 : 20); i++) {
    const { cpu, wall } = await cost(layer, tasks);
    best.cpu = Math.min(best.cpu, cpu);
    best.wall = Math.min(best.wall, wall);
  }
  return best;
}
