import { isEnd } from '../../model/status.js';
import type { RunView, TaskView } from '../../views/run-view.js';
import { statusStyles } from '../../views/status-style.js';
import { streamText } from '../../views/stream-text.js';
import {
  count,
  duration,
  escapeControl,
  messageOf,
  short,
  shownValue,
  spanNames,
  statusOf,
} from '../../views/text.js';
import { html } from './html.js';

/** Everything about one task: inputs, attempts, waits, stream, result. */
export function TaskPanel({
  view,
  id,
  select,
  act,
}: {
  view: RunView;
  id: string;
  select: (id: string) => void;
  act: ((action: string, details?: Record<string, unknown>) => void) | undefined;
}) {
  const task = view.tasks.get(id);
  if (task === undefined) return null;
  const open = !isEnd(task.status);
  const { priority = 0 } = task;
  const give = (n: number): void => act?.('setPriority', { taskId: id, priority: n });
  return html`<aside class="panel" aria-label="task ${short(id)}">
    <header>
      <h2><span class="sign ${task.status}">${statusStyles[task.status].sign}</span> ${short(id, 200)}</h2>
      <button onClick=${() => select('')} aria-label="close">×</button>
    </header>
    <dl>
      <dt>status</dt><dd>${statusOf(task)}</dd>
      ${task.type !== id && html`<dt>type</dt><dd>${short(task.type)}</dd>`}
      ${task.group !== undefined && html`<dt>group</dt><dd>${short(task.group)}</dd>`}
      <dt>priority</dt><dd>${count(priority)} ${act !== undefined && open && html`<button onClick=${() => give(priority - 1)} aria-label="lower priority">−</button> <button onClick=${() => give(priority + 1)} aria-label="higher priority">+</button>`}</dd>
      ${task.parent !== undefined && html`<dt>added by</dt><dd>${link(task.parent, select)}</dd>`}
      <dt>tokens</dt><dd>${count(task.usage.inputTokens)} in, ${count(task.usage.outputTokens)} out${task.usage.cost === 0 ? '' : `, cost ${task.usage.cost.toFixed(4)}`}${task.model === undefined ? '' : ` (${short(task.model, 40)})`}</dd>
    </dl>
    ${act !== undefined && open && html`<button class="danger" onClick=${() => act('cancelTask', { taskId: id })}>cancel this task</button>`}
    <h3>Inputs</h3>
    ${task.dependencies.length === 0 ? html`<p class="hint">It depends on nothing.</p>` : html`<ul class="inputs">${task.dependencies.map((one) => input(view, one, select))}</ul>`}
    <h3>Time</h3>
    <ul class="spans">
      ${task.spans.map((span) => html`<li><i class="swatch ${span.kind === 'running' ? (span.end ?? 'running') : `wait-${span.kind}`}"></i> ${spanNames[span.kind]}${span.attempt === undefined ? '' : ` (attempt ${span.attempt}${span.end === undefined ? '' : `, ${span.end}`})`}: ${duration((span.to ?? view.now) - span.from)}</li>`)}
    </ul>
    ${task.errors.length > 0 && html`<h3>Errors</h3><ol class="errors">${task.errors.map(({ attempt, error }) => html`<li value=${attempt}>${short(messageOf(error), 2_000)}</li>`)}</ol>`}
    ${task.errors.length === 0 && task.error !== undefined && html`<h3>Error</h3><p class="error">${short(messageOf(task.error), 2_000)}</p>`}
    ${task.streamed > 0 && html`<h3>Stream, ${count(task.streamed)} values</h3><pre class="stream">${stream(task)}</pre>`}
    ${task.messages.length > 0 && html`<h3>Messages</h3><ul class="messages">${task.messages.slice(-50).map(({ at, message, data }) => html`<li><time>${duration(at)}</time> ${short(message, 2_000)}${data === undefined ? '' : html` <code>${short(shownValue(data, 500), 500)}</code>`}</li>`)}</ul>`}
    ${task.value !== undefined && html`<h3>Result</h3><pre>${shownValue(task.value)}</pre>`}
  </aside>`;
}

function input(
  view: RunView,
  { id, mode }: { readonly id: string; readonly mode: string },
  select: (id: string) => void,
): unknown {
  const from = view.tasks.get(id);
  return html`<li>${link(id, select)} ${mode !== 'value' && html`<em>${escapeControl(mode)}</em>`} ${from !== undefined && html`<span class="sign ${from.status}">${statusStyles[from.status].sign}</span>`}
    ${from?.value !== undefined && html`<pre>${shownValue(from.value, 2_000)}</pre>`}</li>`;
}

function link(id: string, select: (id: string) => void): unknown {
  return html`<button class="link" onClick=${() => select(id)}>${short(id, 60)}</button>`;
}

/** Text of a stream runs on; other values stand in lines. */
function stream({ stream, streamed }: TaskView): string {
  const more = streamed > stream.length ? `… ${streamed - stream.length} values before\n` : '';
  const text = streamText(stream);
  return (
    more + (text === undefined ? stream.map((one) => shownValue(one, 2_000)).join('\n') : shownValue(text))
  );
}
