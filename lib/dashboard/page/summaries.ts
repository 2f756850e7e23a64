import { StateReplay } from '../../views/changes.js';
import { failuresOf } from '../../views/failures.js';
import type { RunView, SpanKind, TaskView } from '../../views/run-view.js';
import { ranFor, type Spent, spentBy } from '../../views/spent.js';
import { count, duration, messageOf, short, shownValue, spanNames, statusOf } from '../../views/text.js';
import { timeByKind } from '../../views/timeline.js';
import { html } from './html.js';
import { TimelinePicture } from './timeline-canvas.js';

/** Where time, tokens and money went. */
export function Cost({ view }: { view: RunView }) {
  const time = timeByKind(view);
  const sum = Object.values(time).reduce((all, ms) => all + ms, 0);
  return html`<section class="cost" aria-label="cost">
    <h3>Where the time of all tasks went</h3>
    <ul class="times">${(Object.keys(time) as SpanKind[]).filter((kind) => time[kind] > 0).map((kind) => html`<li><i class="swatch ${kind === 'running' ? 'succeeded' : `wait-${kind}`}"></i> ${spanNames[kind]}: ${duration(time[kind])} <progress max=${sum} value=${time[kind]}></progress></li>`)}</ul>
    ${table('By agent', spentBy(view, 'agent'))}
    ${table('By model', spentBy(view, 'model'))}
    ${table('By group', spentBy(view, 'group'))}
  </section>`;
}

function table(title: string, rows: readonly [string, Spent][]): unknown {
  return html`<h3>${title}</h3><div class="scroll"><table><thead><tr><th>name</th><th>tasks</th><th>attempts</th><th>ran</th><th>tokens in</th><th>tokens out</th><th>cost</th></tr></thead><tbody>
    ${rows.slice(0, 100).map(([name, one]) => html`<tr><th scope="row">${short(name, 40)}</th><td>${count(one.tasks)}</td><td>${count(one.attempts)}</td><td>${duration(one.ms)}</td><td>${count(one.inputTokens)}</td><td>${count(one.outputTokens)}</td><td>${one.cost === 0 ? '–' : one.cost.toFixed(4)}</td></tr>`)}
  </tbody></table></div>`;
}

/** What went wrong: root causes first, with what each of them stopped. */
export function Failures({
  view,
  select,
  act,
}: {
  view: RunView;
  select: (id: string) => void;
  act: ((action: string) => void) | undefined;
}) {
  const order = failuresOf(view);
  if (order.length === 0) return html`<p class="empty">Nothing has failed.</p>`;
  return html`<section class="failures" aria-label="failures">
    ${act !== undefined && view.status !== 'running' && html`<div class="tools"><button onClick=${() => act('retryFailed')}>run what failed again</button></div>`}
    ${order.slice(0, 200).map(
      ({ task, stopped }) => html`<article class="failure">
      <h3><button class="link" onClick=${() => select(task.id)}>${short(task.id)}</button> ${statusOf(task)}${task.attempts > 1 ? ` after ${task.attempts} attempts` : ''}</h3>
      <p class="error">${short(messageOf(task.error), 1_000)}</p>
      ${stopped.length > 0 && html`<p>It stopped ${stopped.length}: ${stopped.slice(0, 20).map((one) => html`<button class="link" onClick=${() => select(one.id)}>${short(one.id, 30)}</button> `)}${stopped.length > 20 ? `and ${stopped.length - 20} more` : ''}</p>`}
    </article>`,
    )}
  </section>`;
}

/** Two runs side by side: time, results, state, cost. */
export function Compare({
  view,
  other,
  open,
}: {
  view: RunView;
  other: RunView | undefined;
  open: (text: string) => void;
}) {
  const pick = html`<div class="tools"><label>log of the other run <input type="file" onChange=${async (
    event: Event,
  ) => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file !== undefined) open(await file.text());
  }} /></label></div>`;
  if (other === undefined)
    return html`<section class="compare">${pick}<p class="empty">Choose the log of another run to compare with.</p></section>`;
  const rows = differences(view, other);
  const states = [view, other].map((one) =>
    shownValue(new StateReplay().at(one.initialState, one.commits, one.commits.length), 10_000),
  );
  return html`<section class="compare" aria-label="comparison">
    ${pick}
    <${TimelinePicture} view=${view} select=${() => undefined} selected="" title=${`this: ${view.runId}, ${duration(view.now)}`} />
    <${TimelinePicture} view=${other} select=${() => undefined} selected="" title=${`other: ${other.runId}, ${duration(other.now)}`} />
    <p>The other took <b>${duration(other.now)}</b>, this <b>${duration(view.now)}</b>: ${change(view.now, other.now)}.</p>
    <div class="scroll"><table class="rows"><thead><tr><th>task</th><th>this</th><th>other</th><th>ran</th><th>ran in the other</th><th>result</th></tr></thead><tbody>
      ${rows.slice(0, 500).map((row) => html`<tr><th scope="row">${short(row.id, 40)}</th><td>${row.status}</td><td>${row.otherStatus}</td><td>${duration(row.ms)}</td><td>${duration(row.otherMs)}</td><td>${row.same ? 'same' : 'differs'}</td></tr>`)}
    </tbody></table></div>
    ${rows.length === 0 && html`<p class="hint">All tasks ended alike, with the same results, in the same time.</p>`}
    ${states[0] !== states[1] && html`<h3>State at the end</h3><div class="two"><pre>${states[0]}</pre><pre>${states[1]}</pre></div>`}
  </section>`;
}

function change(a: number, b: number): string {
  if (a === b) return 'the same';
  const percent = Math.abs((a - b) / Math.max(1, b)) * 100;
  return `${percent.toFixed(percent < 10 ? 1 : 0)} % ${a < b ? 'sooner' : 'later'}`;
}

function differences(
  a: RunView,
  b: RunView,
): { id: string; status: string; otherStatus: string; ms: number; otherMs: number; same: boolean }[] {
  const ran = (task: TaskView | undefined, { now }: RunView): number =>
    task === undefined ? 0 : ranFor(task, now);
  return [...new Set([...a.tasks.keys(), ...b.tasks.keys()])].flatMap((id) => {
    const [one, two] = [a.tasks.get(id), b.tasks.get(id)];
    const row = {
      id,
      status: one?.status ?? 'not there',
      otherStatus: two?.status ?? 'not there',
      ms: ran(one, a),
      otherMs: ran(two, b),
      same: JSON.stringify(one?.value) === JSON.stringify(two?.value),
    };
    return row.status === row.otherStatus && row.same && row.ms === row.otherMs ? [] : [row];
  });
}
