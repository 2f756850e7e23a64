import { firstValueFrom, Observable } from 'rxjs';

/** Begins what a promise is for; the returned function is called when it has settled. */
export type Begin = (
  resolve: (value: unknown) => void,
  reject: (error: unknown) => void,
) => (() => void) | undefined;

/** Promises that also end with their attempt. Nobody has to await them: a forgotten one is harmless. */
export class AttemptPromises {
  #rejects: Set<(reason: unknown) => void> | undefined;

  make(begin: Begin): Promise<unknown> {
    const promise = firstValueFrom(
      new Observable<unknown>((subscriber) => {
        this.#rejects ??= new Set();
        const reject = (error: unknown): void => subscriber.error(error);
        this.#rejects.add(reject);
        subscriber.add(() => this.#rejects?.delete(reject));
        subscriber.add(begin((value) => subscriber.next(value), reject));
      }),
    );
    promise.catch(() => undefined);
    return promise;
  }

  /** The attempt is over: rejects those that are open. */
  end(reason: () => unknown): void {
    const rejects = this.#rejects;
    this.#rejects = undefined;
    if (rejects !== undefined) for (const reject of rejects) reject(reason());
  }
}
