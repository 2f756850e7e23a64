import dagre from '@dagrejs/dagre';
import { type Dagre, type Layout, type LayoutOrder, layout } from '../../views/layout.js';

/** A layout that is asked for by number: an older answer may come after a newer question. */
export interface Asked extends LayoutOrder {
  readonly id: number;
}

/** Its answer. */
export interface Placed extends Layout {
  readonly id: number;
}

addEventListener('message', ({ data: { id, ...order } }: MessageEvent<Asked>) => {
  postMessage({ id, ...layout(dagre as unknown as Dagre, order) } satisfies Placed);
});
