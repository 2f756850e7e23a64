import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { WorkflowEvent } from '../../model/event.js';
import type { RunView } from '../../views/run-view.js';
import { talked } from '../../views/talk.js';
import { count, duration, messageOf, short, shownValue } from '../../views/text.js';
import { html } from './html.js';

const rowHeight = 22;
const rowsDrawn = 80;

/** What happened, filtered by kind, task and text; follows the newest. */
export function EventList({ view, select }: { view: RunView; select: (id: string) => void }) {
  const [type, setType] = useState('');
  const [text, setText] = useState('');
  const [follow, setFollow] = useState(true);
  const [top, setTop] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const types = useMemo(() => [...new Set(view.events.map((event) => event.type))].sort(), [view.version]);
  const found = useMemo(
    () =>
      view.events.filter(
        (event) => (type === '' || event.type === type) && (text === '' || matches(event, text)),
      ),
    [view.version, type, text],
  );
  useEffect(() => {
    if (follow && list.current !== null) list.current.scrollTop = list.current.scrollHeight;
  }, [found.length, follow]);
  // A filter may leave fewer rows than were scrolled past.
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight) - 10, found.length - rowsDrawn));
  const shown = found.slice(first, first + rowsDrawn);
  return html`<section class="events" aria-label="events">
    <div class="tools">
      <label>kind <select value=${type} onChange=${(event: Event) => setType((event.target as HTMLSelectElement).value)}>
        <option value="">all</option>
        ${types.map((one) => html`<option value=${one}>${short(one)}</option>`)}
      </select></label>
      <label>find <input type="search" value=${text} placeholder="task or text" onInput=${(event: Event) => setText((event.target as HTMLInputElement).value)} /></label>
      <label><input type="checkbox" checked=${follow} onChange=${() => setFollow(!follow)} /> follow</label>
      <span class="hint">${count(found.length)} of ${count(view.events.length)} events${view.missing > 0 ? `, ${count(view.missing)} were dropped` : ''}</span>
    </div>
    <div class="scroll list" ref=${list} tabindex="0" onScroll=${(event: Event) => {
      const element = event.target as HTMLElement;
      setTop(element.scrollTop);
      if (element.scrollTop + element.clientHeight < element.scrollHeight - rowHeight * 2) setFollow(false);
    }}>
      <div class="tall" ref=${sized(found.length * rowHeight)}>
        <ol ref=${moved(first * rowHeight)}>
          ${shown.map(
            (event) => html`<li key=${event.seq} class=${event.reason}>
            <time>${duration(event.at)}</time>
            <span class="kind">${short(event.type, 12)} ${short(event.reason, 14)}</span>
            ${'taskId' in event && event.taskId !== undefined && html`<button class="link" onClick=${() => select(event.taskId as string)}>${short(event.taskId, 40)}</button>`}
            <span class="what">${short(detail(event), 200)}</span>
          </li>`,
          )}
        </ol>
      </div>
    </div>
  </section>`;
}

/** Sizes are set on the element: a strict policy forbids style attributes. */
function sized(height: number): (element: HTMLElement | null) => void {
  return (element) => {
    if (element !== null) element.style.height = `${height}px`;
  };
}

function moved(y: number): (element: HTMLElement | null) => void {
  return (element) => {
    if (element !== null) element.style.transform = `translateY(${y}px)`;
  };
}

function matches(event: WorkflowEvent, text: string): boolean {
  const wanted = text.toLowerCase();
  return (
    ('taskId' in event && event.taskId?.toLowerCase().includes(wanted) === true) ||
    detail(event).toLowerCase().includes(wanted) ||
    event.reason.includes(wanted)
  );
}

function detail(event: WorkflowEvent): string {
  if ('error' in event && event.error !== undefined) return messageOf(event.error);
  const words = event.type === 'message' ? talked(event) : event;
  if ('message' in words)
    return `${words.message}${words.data === undefined ? '' : ` ${shownValue(words.data, 200)}`}`;
  if (event.type === 'plan') return `${event.tasks.length} tasks`;
  const {
    type: _type,
    reason: _reason,
    seq: _seq,
    at: _at,
    runId: _runId,
    ...rest
  } = event as WorkflowEvent & Record<string, unknown>;
  delete (rest as Record<string, unknown>).taskId;
  const text = JSON.stringify(rest);
  return text === '{}' ? '' : text.slice(0, 400);
}
