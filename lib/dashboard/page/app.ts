import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { TaskStatus } from '../../model/status.js';
import type { RunView } from '../../views/run-view.js';
import { statusStyles } from '../../views/status-style.js';
import { count, duration, messageOf, short } from '../../views/text.js';
import { EventList } from './event-list.js';
import { Gauges } from './gauges.js';
import { Graph } from './graph.js';
import { html } from './html.js';
import { Questions } from './questions.js';
import { Source } from './source.js';
import { StateDiff } from './state.js';
import { Compare, Cost, Failures } from './summaries.js';
import { TaskPanel } from './task-panel.js';
import { TimelinePicture } from './timeline-canvas.js';

const tabs = [
  'graph',
  'timeline',
  'events',
  'state',
  'groups',
  'cost',
  'failures',
  'questions',
  'compare',
] as const;
type Tab = (typeof tabs)[number];
const source = new Source();

function App() {
  const [, redraw] = useState(0);
  const [tab, setTab] = useState<Tab>('graph');
  const [selected, select] = useState('');
  const [refusal, setRefusal] = useState('');
  useEffect(() => source.begin(() => redraw((n) => n + 1)), []);
  const { view } = source;
  const live = source.origin === 'live' || source.origin === 'ended';
  const act =
    live && source.token !== undefined
      ? (action: string, details?: Record<string, unknown>): void => {
          source.act(action, details).then(
            () => setRefusal(''),
            (error: Error) => setRefusal(error.message),
          );
        }
      : undefined;
  const onTabKey = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length] as Tab;
    setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return html`<div
    class="page"
    onDragOver=${(event: DragEvent) => event.preventDefault()}
    onDrop=${async (event: DragEvent) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) source.open(await file.text(), 'file');
    }}
  >
    ${head(act)}
    ${(refusal !== '' || source.problem !== '') && html`<p class="problem" role="alert">${short(refusal || source.problem, 300)}</p>`}
    ${halted(view)}
    <nav role="tablist" aria-label="pictures" onKeyDown=${onTabKey}>
      ${tabs.map((one) => html`<button role="tab" id="tab-${one}" aria-selected=${tab === one} aria-controls="picture" tabindex=${tab === one ? 0 : -1} onClick=${() => setTab(one)}>${one}${one === 'questions' && view.questions.size > 0 ? ` (${view.questions.size})` : ''}</button>`)}
    </nav>
    <div class="body">
      <main id="picture" role="tabpanel" aria-labelledby="tab-${tab}">${picture(tab, selected, select, act)}</main>
      ${selected !== '' && html`<${TaskPanel} view=${view} id=${selected} select=${select} act=${act} />`}
    </div>
  </div>`;
}

type Act = ((action: string, details?: Record<string, unknown>) => void) | undefined;

function picture(tab: Tab, selected: string, select: (id: string) => void, act: Act): unknown {
  const { view } = source;
  switch (tab) {
    case 'graph':
      return html`<${Graph} view=${view} select=${select} selected=${selected} />`;
    case 'timeline':
      return html`<${TimelinePicture} view=${view} select=${select} selected=${selected} />`;
    case 'events':
      return html`<${EventList} view=${view} select=${select} />`;
    case 'state':
      return html`<${StateDiff} view=${view} select=${select} act=${source.actions.includes('fork') ? act : undefined} />`;
    case 'groups':
      return html`<${Gauges} view=${view} limits=${source.limits.length > 0 ? source.limits : [...view.limits.values()]} act=${act} />`;
    case 'cost':
      return html`<${Cost} view=${view} />`;
    case 'questions':
      return html`<${Questions} view=${view} select=${select} act=${act} />`;
    case 'failures':
      return html`<${Failures} view=${view} select=${select} act=${act} />`;
    default:
      return html`<${Compare} view=${view} other=${source.other} open=${(text: string) => source.compare(text)} />`;
  }
}

/** Why nothing new starts, or nothing goes on at all. */
function halted({ paused, draining, stuck, status, groups }: RunView): unknown {
  const held = [...groups.values()].filter((group) => group.paused).map(({ name = '' }) => short(name, 40));
  if (status !== 'running' || (paused === undefined && held.length === 0 && !draining && stuck.length === 0))
    return null;
  const where = paused?.before === undefined ? '' : ` before ${short(paused.before, 60)}`;
  return html`<div class="halted" role="status">
    ${draining && html`<b>draining: nothing new begins</b>`}
    ${paused !== undefined && html`<b>paused${where}</b>`}
    ${held.length > 0 && html`<b>paused: ${held.length === 1 ? 'group' : 'groups'} ${held.join(', ')}</b>`}
    ${stuck.length > 0 && html`<ul>${stuck.slice(0, 10).map((one) => html`<li>${short(one, 300)}</li>`)}</ul>`}
  </div>`;
}

function head(act: Act): unknown {
  const { view, origin, dropped } = source;
  const counts = view.counts();
  const words: Record<Source['origin'], string> = {
    live: 'live',
    lost: 'connection lost, trying again',
    ended: 'ended',
    file: 'from a file',
    report: 'report',
    none: 'choose a log, or drop one here',
  };
  return html`<header class="top">
    <h1>${view.workflow === '' ? 'rxhive' : short(view.workflow, 60)}</h1>
    <span class="status ${view.status}" title=${view.error === undefined ? '' : short(messageOf(view.error), 500)}>${view.status}</span>
    <span class="hint">${short(view.runId, 40)} ${duration(view.now)} · ${words[origin]}${dropped > 0 ? ` · ${count(dropped)} events dropped` : ''}</span>
    <span class="counts">${(Object.keys(statusStyles) as TaskStatus[]).filter((status) => (counts[status] ?? 0) > 0).map((status) => html`<span class="count ${status}" title=${status}><span class="sign">${statusStyles[status].sign}</span> ${count(counts[status] ?? 0)} ${status}</span>`)}</span>
    ${
      origin === 'none' &&
      html`<input type="file" aria-label="log file" onChange=${async (event: Event) => {
        const file = (event.target as HTMLInputElement).files?.[0];
        if (file !== undefined) source.open(await file.text(), 'file');
      }} />`
    }
    ${
      act !== undefined &&
      view.status === 'running' &&
      html`<span class="tools">
      <button onClick=${() => act('pause')}>pause</button>
      <button onClick=${() => act('step')} title="let one attempt start">step</button>
      <button onClick=${() => act('resume')}>go on</button>
      <button class="danger" onClick=${() => act('cancel')}>cancel run</button>
    </span>`
    }
  </header>`;
}

render(html`<${App} />`, document.getElementById('app') as HTMLElement);
