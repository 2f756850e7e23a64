/**
 * Work that must be done before other work: done once, by who comes first, while the others wait; and again by who comes
 * after it has failed.
 */
export class Preparation {
  readonly #work: () => Promise<void>;
  #done: Promise<void> | undefined;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Resolves when it is done; rejects with what has made it fail. */
  done(): Promise<void> {
    if (this.#done !== undefined) return this.#done;
    const done: Promise<void> = this.#work().catch((error: unknown) => {
      if (this.#done === done) this.#done = undefined;
      throw error;
    });
    this.#done = done;
    return done;
  }

  /** What it has made is not there any more: it is done again by who comes next. */
  undo(): void {
    this.#done = undefined;
  }
}
