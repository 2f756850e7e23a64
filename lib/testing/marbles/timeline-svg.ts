import { isEnd, type TaskStatus } from '../../model/status.js';
import { short, xml } from '../../views/text.js';
import type { TimelinePicture, TimelineRow } from './timeline.js';

/** How a timeline is drawn. */
export interface TimelineSvgOptions {
  /** Above the picture. Default: none. */
  readonly title?: string;
  /** Px. Default 760. */
  readonly width?: number;
}

const rowHeight = 26;
const top = 56;
const longestLabel = 22;
/** Px from one of several values of a moment to the next, and from the end of time to the last of them. */
const marbleWidth = 17;
const mostRight = 18;

/** Light first, then dark. Text and shapes tell the statuses apart without colour, too. */
const colours: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  ink: ['#1f2328', '#e6edf3'],
  soft: ['#59636e', '#9198a1'],
  line: ['#d1d9e0', '#3d444d'],
  paper: ['#ffffff', '#0d1117'],
  running: ['#2f6feb', '#6cb6ff'],
  ready: ['#bf8700', '#e3b341'],
  backing: ['#d4632a', '#ffa657'],
  suspended: ['#8250df', '#d2a8ff'],
  good: ['#1a7f37', '#56d364'],
  bad: ['#cf222e', '#ff7b72'],
  gone: ['#818b98', '#767e87'],
};

/**
 * A run as a marble diagram in SVG: a line for each task with what it was doing over time, a circle for each value, and
 * how it ended. Light and dark by `prefers-color-scheme`; no script, all text escaped.
 */
export function timelineSvg(picture: TimelinePicture, options: TimelineSvgOptions = {}): string {
  const { title, width = 760 } = options;
  const { rows } = picture;
  const labels = Math.min(longestLabel, Math.max(4, ...rows.map(({ taskId }) => taskId.length)));
  const left = 20 + labels * 7.2;
  const span = Math.max(picture.endedAt, picture.unit);
  const scale: Scale = (at) => left + (Math.min(at, span) / span) * (width - left - 30);
  const height = top + rows.length * rowHeight + 46;
  const body = [
    ...axis(span, scale, height - 40),
    ...rows.flatMap((row, i) => drawn(row, top + i * rowHeight + rowHeight / 2, scale, picture)),
    ...legend(rows, height - 10),
  ];
  const name = xml(title ?? 'Timeline of a run');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${name}">`,
    `<style>${styles()}</style>`,
    `<rect class="paper" width="${width}" height="${height}" rx="6"/>`,
    ...(title === undefined ? [] : [`<text class="title" x="14" y="22">${xml(title)}</text>`]),
    ...body,
    '</svg>\n',
  ].join('\n');
}

type Scale = (at: number) => number;

function styles(): string {
  const names = Object.keys(colours);
  const vars = (at: 0 | 1): string => names.map((name) => `--${name}:${colours[name]?.[at]}`).join(';');
  return [
    `svg{${vars(0)}}`,
    `@media (prefers-color-scheme:dark){svg{${vars(1)}}}`,
    'text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:var(--ink)}',
    '.title{font-weight:600;font-size:13px}.soft{fill:var(--soft);font-size:11px}.paper{fill:var(--paper)}',
    '.grid{stroke:var(--line);stroke-width:1}.waiting{stroke:var(--line);stroke-width:2;stroke-dasharray:1 5;stroke-linecap:round}',
    '.ready{stroke:var(--ready);stroke-width:2;stroke-dasharray:5 4}.running{stroke:var(--running);stroke-width:8;stroke-linecap:butt}',
    '.backing-off{stroke:var(--backing);stroke-width:2;fill:none}.suspended{stroke:var(--suspended);stroke-width:6;stroke-dasharray:2 3}',
    '.value{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}.inside{font-size:10px;text-anchor:middle}',
    '.succeeded,.restored{stroke:var(--good)}.failed{stroke:var(--bad)}.skipped,.cancelled{stroke:var(--gone)}.end{stroke-width:2.5;fill:none;stroke-linecap:round}',
  ].join('');
}

function drawn(row: TimelineRow, y: number, scale: Scale, picture: TimelinePicture): string[] {
  const { taskId, changes } = row;
  const lines = [`<text x="14" y="${y + 4}">${xml(short(taskId, longestLabel))}</text>`];
  changes.forEach(({ at, status }, i) => {
    const until = changes[i + 1]?.at ?? picture.endedAt;
    if (isEnd(status)) lines.push(endMark(status, scale(at), y));
    else if (until > at) lines.push(stretch(status, scale(at), scale(until), y));
  });
  const values = picture.values.filter((value) => value.taskId === taskId);
  const right = scale(picture.endedAt) + mostRight;
  values.forEach((one, i) => {
    const text = labelOf(one.value);
    if (text === undefined) return;
    // Those of one moment stand side by side, in their order.
    const first = values.findIndex(({ at }) => at === one.at);
    const row = values.filter(({ at }) => at === one.at).length - 1;
    const x = Math.min(scale(one.at), right - row * marbleWidth) + (i - first) * marbleWidth;
    const ends = changes.some(({ at, status }) => at === one.at && status === 'succeeded');
    lines.push(`<circle class="value${ends ? ' succeeded' : ''}" cx="${px(x)}" cy="${y}" r="8"/>`);
    lines.push(`<text class="inside" x="${px(x)}" y="${y + 3.5}">${xml(text)}</text>`);
  });
  return lines;
}

function stretch(status: TaskStatus, from: number, to: number, y: number): string {
  if (status !== 'backing-off')
    return `<line class="${status}" x1="${px(from)}" y1="${y}" x2="${px(to)}" y2="${y}"/>`;
  const steps = Math.max(2, Math.min(60, Math.round((to - from) / 5)));
  const points = Array.from({ length: steps + 1 }, (_, i) => {
    const lift = i === 0 || i === steps ? 0 : i % 2 === 0 ? 4 : -4;
    return `${px(from + ((to - from) * i) / steps)},${y + lift}`;
  });
  return `<polyline class="backing-off" points="${points.join(' ')}"/>`;
}

function endMark(status: TaskStatus, x: number, y: number): string {
  const path =
    status === 'succeeded' || status === 'restored'
      ? `M${px(x)} ${y - 8}V${y + 8}${status === 'restored' ? `M${px(x + 4)} ${y - 8}V${y + 8}` : ''}`
      : status === 'failed'
        ? `M${px(x - 5)} ${y - 6}L${px(x + 5)} ${y + 6}M${px(x + 5)} ${y - 6}L${px(x - 5)} ${y + 6}`
        : status === 'skipped'
          ? `M${px(x - 4)} ${y + 6}L${px(x + 4)} ${y - 6}`
          : `M${px(x - 4)} ${y - 4}h8v8h-8z`;
  return `<path class="end ${status}" d="${path}"><title>${status}</title></path>`;
}

/** A short value fits into its circle; longer ones are not shown. */
function labelOf(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined;
  const text = typeof value === 'boolean' ? (value ? '✓' : '✗') : String(value);
  return text !== '' && [...text].length <= 2 ? text : undefined;
}

function axis(span: number, scale: Scale, bottom: number): string[] {
  const step = niceStep(span / 6);
  const lines: string[] = [];
  for (let at = 0; at <= span + 1e-9; at += step) {
    const x = px(scale(at));
    lines.push(`<line class="grid" x1="${x}" y1="${top - 8}" x2="${x}" y2="${bottom}"/>`);
    lines.push(
      `<text class="soft" x="${x}" y="${top - 12}" text-anchor="middle">${timeText(at, step)}</text>`,
    );
  }
  return lines;
}

/** A step of 1, 2 or 5 times a power of ten, in ms, s, min or h. */
function niceStep(least: number): number {
  const unit = [3_600_000, 60_000, 1_000, 1].find((one) => least >= one) ?? 1;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least / unit)));
  const factor = [1, 2, 5, 10].find((one) => one * power * unit >= least) ?? 10;
  return factor * power * unit;
}

function timeText(at: number, step: number): string {
  if (at === 0) return '0';
  for (const [ms, name] of [
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ] as const)
    if (step >= ms) return `${Math.round(at / ms)} ${name}`;
  return `${at} ms`;
}

/** Only what is in the picture is explained. */
function legend(rows: readonly TimelineRow[], y: number): string[] {
  const seen = new Set(rows.flatMap(({ changes }) => changes.map(({ status }) => status)));
  const lines: string[] = [];
  let x = 14;
  for (const status of seen) {
    lines.push(
      isEnd(status) ? endMark(status, x + 12, y - 4) : stretch(status, x, x + 24, y - 4),
      `<text class="soft" x="${x + 30}" y="${y}">${status}</text>`,
    );
    x += 42 + status.length * 6.6;
  }
  return lines;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
