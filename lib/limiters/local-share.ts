import { SlidingWindow } from '../kernel/sliding-window.js';
import {
  amountOf,
  type LimiterSettings,
  type PermitRequest,
  type WindowName,
  windowOf,
} from '../model/limiter.js';

/** What one of several processes may use by itself while nobody can say what the others use. */
export class LocalShare {
  readonly #processes: number;
  readonly #windows = new Map<WindowName, SlidingWindow>();
  #places = Number.POSITIVE_INFINITY;
  /** What all of them may use. */
  readonly #most = new Map<WindowName, number>();

  constructor(processes: number) {
    this.#processes = processes;
  }

  /** `windows`: as they are kept, with their margin. */
  update(
    settings: LimiterSettings,
    windows: readonly { readonly name: WindowName; readonly max: number; readonly size: number }[],
  ): void {
    this.#most.clear();
    for (const name of this.#windows.keys())
      if (!windows.some((one) => one.name === name)) this.#windows.delete(name);
    for (const { name, max, size } of windows) {
      const window = this.#windows.get(name) ?? new SlidingWindow(size, max);
      window.max = this.#partOf(max);
      window.size = size;
      this.#windows.set(name, window);
      this.#most.set(name, max);
    }
    this.#places = this.#partOf(settings.maxConcurrent ?? Number.POSITIVE_INFINITY);
  }

  /** From now on nobody answers. `used`: what all of them had used of a window when somebody last did. */
  begin(now: number, used: (name: WindowName) => number): void {
    for (const [name, window] of this.#windows) {
      const left = Math.max(0, (this.#most.get(name) ?? 0) - used(name));
      window.correct(now, Math.floor(left / this.#processes), window.size);
    }
  }

  freeAt(now: number, request: PermitRequest, inUse: number): number {
    if (inUse >= this.#places) return Number.POSITIVE_INFINITY;
    if (request.again) return now;
    return Math.max(
      now,
      ...[...this.#windows].map(([name, window]) => window.opensAt(now, amountOf(name, request))),
    );
  }

  /** Takes it from the part; the function corrects what was taken. */
  take(now: number, request: PermitRequest): (tokens: number | 'none') => void {
    if (request.again) return () => undefined;
    const taken = [...this.#windows].map(
      ([name, window]) => [name, window, window.take(now, amountOf(name, request))] as const,
    );
    return (tokens) => {
      for (const [name, window, one] of taken) {
        if (windowOf(name)?.kind === 'tokens')
          window.change(one, (tokens === 'none' ? 0 : tokens) - request.tokens);
        else if (tokens === 'none') window.change(one, -1);
      }
    };
  }

  #partOf(amount: number): number {
    return Math.max(1, Math.floor(amount / this.#processes));
  }
}
