import type { TaskStatus } from '../model/status.js';

/** How a status is shown. */
interface StatusStyle {
  /** Tells it without colour. */
  readonly sign: string;
  /** Its character in timelines of text. */
  readonly letter: string;
  readonly colours: readonly [light: string, dark: string];
  /** Colour in the terminal, which lists the tasks in it; undefined: it does not. */
  readonly paint?: 'blue' | 'magenta' | 'yellow';
}

/** All statuses, in the order in which they are told; of many tasks in one box the first that one of them is in counts. */
export const statusStyles: Readonly<Record<TaskStatus, StatusStyle>> = {
  running: { sign: '▶', letter: '=', colours: ['#2166c2', '#6fa8f5'], paint: 'blue' },
  suspended: { sign: '‖', letter: '?', colours: ['#7446c9', '#b79af2'], paint: 'magenta' },
  'backing-off': { sign: '↻', letter: '~', colours: ['#b85a0b', '#f09a4b'], paint: 'yellow' },
  ready: { sign: '●', letter: ':', colours: ['#a87400', '#e8b93d'] },
  waiting: { sign: '○', letter: '.', colours: ['#8793a3', '#8793a3'] },
  succeeded: { sign: '✓', letter: '|', colours: ['#1f7a46', '#5fc68d'] },
  restored: { sign: '⟲', letter: '@', colours: ['#11756f', '#58c2bb'] },
  failed: { sign: '✗', letter: '#', colours: ['#c02626', '#ff7b72'] },
  skipped: { sign: '⤼', letter: 'x', colours: ['#8a7482', '#b39dac'] },
  cancelled: { sign: '⊘', letter: '!', colours: ['#6d6470', '#a39aa8'] },
};
