import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { GroupLimits } from '../../model/limiter.js';
import type { GroupView, RunView } from '../../views/run-view.js';
import { count, duration, short, shownValue } from '../../views/text.js';
import { html } from './html.js';

/** Each group, and the run as a whole: in use, limit, who waits, what the provider said. */
export function Gauges({
  view,
  limits,
  act,
}: {
  view: RunView;
  limits: readonly GroupLimits[];
  act: ((action: string, details?: Record<string, unknown>) => void) | undefined;
}) {
  return html`<section class="gauges" aria-label="groups">
    ${[...view.groups.values()].map((group) => html`<${Gauge} key=${group.name ?? ''} view=${view} group=${group} limits=${limits.find((one) => one.group === group.name)} act=${act} />`)}
  </section>`;
}

function Gauge({
  view,
  group,
  limits,
  act,
}: {
  view: RunView;
  group: GroupView;
  limits: GroupLimits | undefined;
  act: ((action: string, details?: Record<string, unknown>) => void) | undefined;
}) {
  const { name, active, limit, ready, refused, gatedUntil, facts, paused } = group;
  const { target, limiters = [], budgets = [] } = limits ?? {};
  const told = [...facts].filter(([key]) => budgets.length === 0 || !key.startsWith('budget'));
  const gated = gatedUntil > view.now && view.status === 'running';
  return html`<article class="gauge" data-group=${name ?? ''}>
    <h3>${name === undefined ? 'all tasks' : short(name, 40)}${paused ? ' (paused)' : ''}</h3>
    <p class="big"><b>${count(active)}</b>${limit === undefined ? ' at work' : ` of ${count(limit)} in use`}</p>
    <meter min="0" max=${limit ?? Math.max(1, active)} value=${active} aria-label="in use"></meter>
    <dl>
      <dt>waiting</dt><dd>${count(ready)}</dd>
      <dt>429s</dt><dd class=${refused > 0 ? 'bad' : ''}>${count(refused)}</dd>
      <dt>held back</dt><dd>${gated ? `another ${duration(gatedUntil - view.now)}` : 'no'}</dd>
      ${target !== undefined && html`<dt>adaptive target</dt><dd>${count(target)}</dd>`}
      ${told.map(([key, value]) => html`<dt>${short(key, 30)}</dt><dd>${short(shownValue(value, 200), 60)}${act !== undefined && key.startsWith(resourceFact) && amounts(key.slice(resourceFact.length), Number(value), act)}</dd>`)}
    </dl>
    ${limiters.flatMap(({ windows }) => windows).map((one) => html`<p class="permits">${short(one.name)}: ${count(one.used)} of ${count(one.max)}${one.resetsIn > 0 ? `, more in ${duration(one.resetsIn)}` : ''} <meter min="0" max=${one.max} value=${one.used} aria-label=${one.name}></meter></p>`)}
    ${budgets.map(({ limit: of, spent, cap, hardCap, status }) => html`<p class="permits budget ${status}">budget, ${of}: ${amount(spent)} of ${amount(cap ?? hardCap ?? 0)}${status === 'within' ? '' : `, ${status}`} <meter min="0" max=${cap ?? hardCap ?? 1} value=${spent} aria-label=${`budget, ${of}`}></meter></p>`)}
    <${Chart} group=${group} version=${view.version} end=${view.now} />
    ${
      act !== undefined &&
      html`<div class="tools">
      <button onClick=${() => act('setLimit', { group: name, limit: Math.max(0, (limit ?? active) - 1) })} aria-label="one less">−</button>
      <button onClick=${() => act('setLimit', { group: name, limit: (limit ?? active) + 1 })} aria-label="one more">+</button>
      ${name !== undefined && html`<button onClick=${() => act(paused ? 'resume' : 'pause', { group: name })}>${paused ? 'go on' : 'pause'}</button>`}
    </div>`
    }
  </article>`;
}

/** Facts about the whole run whose names begin so are amounts of resources. */
const resourceFact = 'resource ';

function amounts(
  resource: string,
  amount: number,
  act: (action: string, details?: Record<string, unknown>) => void,
): unknown {
  const set = (n: number): void => act('setResource', { resource, amount: n });
  return html` <button onClick=${() => set(Math.max(0, amount - 1))} aria-label="one less of ${short(resource, 30)}">−</button>
    <button onClick=${() => set(amount + 1)} aria-label="one more of ${short(resource, 30)}">+</button>`;
}

/** Money has fractions. */
function amount(value: number): string {
  return Number.isInteger(value) ? count(value) : value.toPrecision(3);
}

function Chart({ group, version, end }: { group: GroupView; version: number; end: number }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const data = (): uPlot.AlignedData => {
    const points = [...group.history, { at: end, active: group.active, limit: group.limit }];
    return [
      points.map(({ at }) => at / 1_000),
      points.map((one) => one.active),
      points.map((one) => one.limit ?? null),
    ];
  };
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const colour = (name: string): string => getComputedStyle(element).getPropertyValue(`--${name}`).trim();
    const steps = uPlot.paths.stepped?.({ align: 1 });
    const axis = { stroke: colour('ink'), grid: { stroke: colour('line') }, size: 30 };
    const line = (label: string, name: string, more: Partial<uPlot.Series>): uPlot.Series => ({
      label,
      stroke: colour(name),
      points: { show: false },
      ...(steps === undefined ? {} : { paths: steps }),
      ...more,
    });
    const made = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: 120,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [axis, axis],
        series: [
          {},
          line('in use', 'running', { fill: `${colour('running')}33` }),
          line('limit', 'failed', { dash: [4, 4] }),
        ],
      },
      data(),
      element,
    );
    chart.current = made;
    const fit = new ResizeObserver(() =>
      made.setSize({ width: Math.max(200, element.clientWidth), height: 120 }),
    );
    fit.observe(element);
    return () => {
      fit.disconnect();
      made.destroy();
    };
  }, [group]);
  useEffect(() => {
    chart.current?.setData(data());
  }, [version]);
  return html`<div class="chart" ref=${place} role="img" aria-label="in use and limit over time"></div>`;
}
