import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { RunView } from '../../views/run-view.js';
import { duration, short, spanNames } from '../../views/text.js';
import { type Bar, slotTimeline, type Timeline, taskTimeline } from '../../views/timeline.js';
import { html } from './html.js';

const rowHeight = 22;
const left = 96;
const axis = 22;

interface Window {
  /** Ms at the left edge, and shown in all. */
  from: number;
  span: number;
  /** First row shown, may be a fraction. */
  row: number;
}

/** First bar of a lane that ends after `ms`, by halving: bars of a lane are in order. */
function firstAfter(bars: readonly Bar[], ms: number): number {
  let low = 0;
  let high = bars.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bars[middle]?.to ?? 0) < ms) low = middle + 1;
    else high = middle;
  }
  // Waits begin before the bar they hang under.
  return Math.max(0, low - 8);
}

/** Draws what is in the window only, and bars narrower than a pixel once: smooth at 100,000 bars. */
function draw(canvas: HTMLCanvasElement, line: Timeline, view: Window, selected: string): void {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext('2d');
  if (pen === null) return;
  const style = getComputedStyle(canvas);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '12px system-ui, sans-serif';
  pen.textBaseline = 'middle';
  const px = (ms: number): number => left + ((ms - view.from) / view.span) * (width - left);
  for (const ms of ticks(view, width)) {
    pen.fillStyle = colour('muted');
    pen.fillRect(px(ms), axis - 4, 1, height);
    pen.fillStyle = colour('soft');
    pen.fillText(duration(ms), px(ms) + 3, axis / 2);
  }
  const first = Math.max(0, Math.floor(view.row));
  const last = Math.min(line.lanes.length, Math.ceil(view.row + (height - axis) / rowHeight));
  for (let row = first; row < last; row++) {
    const y = axis + (row - view.row) * rowHeight;
    const bars = line.lanes[row] ?? [];
    const drawn = new Map<string, number>();
    for (let i = firstAfter(bars, view.from); i < bars.length; i++) {
      const bar = bars[i] as Bar;
      if (bar.from > view.from + view.span && bar.kind === 'running') break;
      const x = Math.max(left, px(bar.from));
      const end = Math.min(width, Math.max(px(bar.to), x + 1));
      if (end <= left || x >= width) continue;
      const name = colourOf(bar);
      if (end <= (drawn.get(name) ?? -1)) continue;
      drawn.set(name, Math.ceil(end));
      pen.fillStyle = colour(name);
      if (bar.kind === 'running') {
        pen.fillRect(x, y + 2, Math.max(1, end - x - (end - x > 4 ? 1 : 0)), rowHeight - 9);
        if (end - x > 40) {
          pen.fillStyle = colour('on-bar');
          const text = short(bar.task.id, Math.floor((end - x - 8) / 7));
          pen.fillText(text, x + 4, y + 9);
        }
        if (bar.task.id === selected) {
          pen.strokeStyle = colour('ink');
          pen.lineWidth = 2;
          pen.strokeRect(x, y + 2, end - x, rowHeight - 9);
        }
      } else pen.fillRect(x, y + rowHeight - 6, end - x, 4);
    }
    pen.fillStyle = colour('page');
    pen.fillRect(0, y, left - 4, rowHeight);
    pen.fillStyle = colour('ink');
    pen.fillText(short(line.labels[row] ?? '', 12), 4, y + 10);
  }
  pen.fillStyle = colour('page');
  pen.fillRect(0, 0, left - 4, axis);
}

/** Name of the colour: waits by cause, runs by how they ended. */
function colourOf(bar: Bar): string {
  if (bar.kind !== 'running') return `wait-${bar.kind}`;
  if (bar.end === undefined) return 'running';
  return bar.end === 'succeeded' ? 'succeeded' : bar.end === 'failed' ? 'failed' : 'cancelled';
}

function ticks({ from, span }: Window, width: number): number[] {
  const rough = span / Math.max(2, (width - left) / 90);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 0.001)));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power * 10;
  const found: number[] = [];
  for (let ms = Math.ceil(from / step) * step; ms <= from + span; ms += step) found.push(ms);
  return found;
}

/** The run over time. */
export function TimelinePicture({
  view,
  select,
  selected,
  title,
}: {
  view: RunView;
  select: (id: string) => void;
  selected: string;
  title?: string;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [mode, setMode] = useState<'slots' | 'tasks'>('slots');
  const [hover, setHover] = useState<Bar>();
  const [shown, setShown] = useState<Window>();
  const line = useMemo(
    () => (mode === 'slots' ? slotTimeline(view) : taskTimeline(view)),
    [view, view.version, mode],
  );
  const all: Window = { from: 0, span: line.end * 1.02, row: 0 };
  const now = shown ?? all;
  const drag = useRef<{ x: number; y: number; from: Window } | undefined>(undefined);
  useEffect(() => {
    const paint = (): void => {
      if (canvas.current !== null) draw(canvas.current, line, now, selected);
    };
    paint();
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', paint);
    addEventListener('resize', paint);
    return () => {
      dark.removeEventListener('change', paint);
      removeEventListener('resize', paint);
    };
  });
  const rows = (): number => ((canvas.current?.clientHeight ?? 300) - axis) / rowHeight;
  const zoom = (factor: number, at = 0.5): void => {
    const span = Math.min(all.span, Math.max(0.5, now.span * factor));
    const from = Math.max(0, Math.min(all.span - span, now.from + (now.span - span) * at));
    setShown({ ...now, from, span });
  };
  const pan = (ms: number, row: number): void => {
    const most = Math.max(0, line.lanes.length - rows());
    setShown({
      ...now,
      from: Math.max(0, Math.min(all.span - now.span, now.from + ms)),
      row: Math.max(0, Math.min(most, now.row + row)),
    });
  };
  const hit = (event: MouseEvent): Bar | undefined => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) return undefined;
    const ms = now.from + ((event.clientX - box.left - left) / (box.width - left)) * now.span;
    const row = now.row + (event.clientY - box.top - axis) / rowHeight;
    const slack = (now.span / box.width) * 2;
    const low = row % 1 > 0.7;
    return line.lanes[Math.floor(row)]?.findLast(
      (bar) => bar.from <= ms + slack && bar.to >= ms - slack && (bar.kind !== 'running') === low,
    );
  };
  const keys: Readonly<Record<string, () => void>> = {
    '+': () => zoom(0.7),
    '-': () => zoom(1.4),
    '0': () => setShown(undefined),
    ArrowLeft: () => pan(-now.span / 8, 0),
    ArrowRight: () => pan(now.span / 8, 0),
    ArrowUp: () => pan(0, -1),
    ArrowDown: () => pan(0, 1),
    PageUp: () => pan(0, -10),
    PageDown: () => pan(0, 10),
  };
  return html`<section class="timeline" aria-label=${title ?? 'timeline'}>
    <div class="tools">
      ${title !== undefined && html`<strong>${short(title)}</strong>`}
      <button aria-pressed=${mode === 'slots'} onClick=${() => {
        setMode('slots');
        setShown(undefined);
      }}>by slot</button>
      <button aria-pressed=${mode === 'tasks'} onClick=${() => {
        setMode('tasks');
        setShown(undefined);
      }}>by task</button>
      <button onClick=${() => zoom(0.7)} aria-label="zoom in">+</button>
      <button onClick=${() => zoom(1.4)} aria-label="zoom out">−</button>
      <button onClick=${() => setShown(undefined)}>all</button>
      <span class="hint" data-bars=${line.bars}>${line.lanes.length} rows, ${line.bars} bars, ${duration(line.end)}</span>
    </div>
    <canvas
      ref=${canvas}
      tabindex="0"
      role="img"
      aria-label="timeline with ${line.lanes.length} rows; arrow keys move, plus and minus zoom, 0 shows all"
      onKeyDown=${(event: KeyboardEvent) => {
        const act = keys[event.key];
        if (act === undefined) return;
        event.preventDefault();
        act();
      }}
      onWheel=${(event: WheelEvent) => {
        event.preventDefault();
        const box = canvas.current?.getBoundingClientRect();
        if (event.ctrlKey || event.shiftKey) pan(0, event.deltaY / 40);
        else
          zoom(
            event.deltaY > 0 ? 1.2 : 0.83,
            box === undefined ? 0.5 : (event.clientX - box.left - left) / (box.width - left),
          );
      }}
      onPointerDown=${(event: PointerEvent) => {
        drag.current = { x: event.clientX, y: event.clientY, from: now };
        canvas.current?.setPointerCapture(event.pointerId);
      }}
      onPointerMove=${(event: PointerEvent) => {
        const begun = drag.current;
        if (begun === undefined) return setHover(hit(event));
        const width = (canvas.current?.clientWidth ?? 600) - left;
        setShown({
          ...begun.from,
          from: Math.max(
            0,
            Math.min(
              all.span - begun.from.span,
              begun.from.from - ((event.clientX - begun.x) / width) * begun.from.span,
            ),
          ),
          row: Math.max(
            0,
            Math.min(
              Math.max(0, line.lanes.length - rows()),
              begun.from.row - (event.clientY - begun.y) / rowHeight,
            ),
          ),
        });
      }}
      onPointerUp=${(event: PointerEvent) => {
        const begun = drag.current;
        drag.current = undefined;
        if (begun === undefined || Math.abs(event.clientX - begun.x) + Math.abs(event.clientY - begun.y) > 4)
          return;
        const bar = hit(event);
        if (bar !== undefined) select(bar.task.id);
      }}
      onPointerLeave=${() => setHover(undefined)}
    ></canvas>
    <p class="hint line" aria-live="polite">
      ${
        hover === undefined
          ? legend()
          : `${short(hover.task.id)}: ${spanNames[hover.kind]}${hover.attempt === undefined ? '' : `, attempt ${hover.attempt}`}, ${duration(hover.to - hover.from)} from ${duration(hover.from)}`
      }
    </p>
  </section>`;
}

function legend(): unknown {
  const names: [string, string][] = [
    ['succeeded', 'succeeded'],
    ['failed', 'failed'],
    ['running', 'running'],
    ['cancelled', 'stopped'],
    ['wait-dependencies', 'dependencies'],
    ['wait-slot', 'slot'],
    ['wait-permit', 'permit'],
    ['wait-backoff', 'backoff'],
    ['wait-suspended', 'suspended'],
  ];
  return html`<span class="legend">${names.map(([name, label]) => html`<span class="key"><i class="swatch ${name}"></i>${label}</span>`)}</span>`;
}
