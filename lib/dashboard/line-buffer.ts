import type { Observable, Subscription } from 'rxjs';

/** Takes lines one at a time; false when it wants to be asked again later. */
export interface Reader {
  /** Called when there are new lines, or the end. */
  wake(): void;
}

/** The newest lines of a stream for any number of readers, each at its own pace; memory is bounded. */
export class LineBuffer {
  ended = false;
  readonly #lines: string[] = [];
  readonly #most: number;
  readonly #readers = new Set<Reader>();
  /** Number of the first line that is kept. */
  #first = 0;

  /** `most` lines are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Number of the line that comes next. */
  get next(): number {
    return this.#first + this.#lines.length;
  }

  take(lines$: Observable<string>): Subscription {
    this.ended = false;
    const end = (): void => {
      this.ended = true;
      for (const reader of this.#readers) reader.wake();
    };
    return lines$.subscribe({ next: (line) => this.#add(line), error: end, complete: end });
  }

  /** Line `at`, or the oldest that is kept with the number of those lost; undefined: not there yet. */
  read(at: number): { readonly line: string; readonly at: number; readonly lost: number } | undefined {
    const from = Math.max(at, this.#first);
    const line = this.#lines[from - this.#first];
    return line === undefined ? undefined : { line, at: from, lost: from - at };
  }

  /** Calls `reader` when something comes; returns how to stop that. */
  follow(reader: Reader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  #add(line: string): void {
    this.#lines.push(line);
    // In pieces: moving a large array for each line would cost more than the line.
    if (this.#lines.length > this.#most * 1.1) {
      const drop = this.#lines.length - this.#most;
      this.#lines.splice(0, drop);
      this.#first += drop;
    }
    for (const reader of this.#readers) reader.wake();
  }
}
