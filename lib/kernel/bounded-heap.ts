/** An item with its size, and the best of those in its subtree. */
class Place<T> {
  left: Place<T> | undefined;
  right: Place<T> | undefined;
  best: T;
  readonly item: T;
  readonly size: number;
  /** Order of arrival, and a number that looks like chance: it keeps the tree flat. */
  readonly seq: number;
  readonly chance: number;

  constructor(item: T, size: number, seq: number) {
    this.item = item;
    this.best = item;
    this.size = size;
    this.seq = seq;
    this.chance = Math.imul(seq, 0x9e3779b1) >>> 0;
  }
}

/**
 * Items of some size, out of which it finds the first that is not too large, in O(log n). `before(a, b)` must be a strict
 * total order; the key of an item must not change while it is in it. Source: R. Seidel and C. R. Aragon, Randomized Search Trees (1996).
 */
export class BoundedHeap<T> {
  #root: Place<T> | undefined;
  readonly #places = new Map<T, Place<T>>();
  readonly #before: (a: T, b: T) => boolean;
  #seq = 0;

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#places.size;
  }

  /** The items, in order of arrival. */
  get items(): readonly T[] {
    return [...this.#places.keys()];
  }

  /** Adds an item that is not in it. */
  add(item: T, size: number): void {
    const place = new Place(item, size, ++this.#seq);
    this.#places.set(item, place);
    this.#root = this.#insert(this.#root, place);
  }

  /** Takes an item out; one that is not in it is left alone. */
  remove(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#places.delete(item);
    this.#root = this.#without(this.#root, place);
  }

  /** The first of those of size `most` or less. */
  best(most: number): T | undefined {
    let best: T | undefined;
    let at = this.#root;
    while (at !== undefined) {
      if (at.size > most) at = at.left;
      else {
        // Nothing on the left is larger.
        best = this.#better(best, at.item);
        if (at.left !== undefined) best = this.#better(best, at.left.best);
        at = at.right;
      }
    }
    return best;
  }

  #better(a: T | undefined, b: T): T {
    return a === undefined || this.#before(b, a) ? b : a;
  }

  #insert(at: Place<T> | undefined, place: Place<T>): Place<T> {
    if (at === undefined) return place;
    if (place.chance > at.chance) {
      [place.left, place.right] = this.#split(at, place);
      return this.#pull(place);
    }
    if (isLess(place, at)) at.left = this.#insert(at.left, place);
    else at.right = this.#insert(at.right, place);
    return this.#pull(at);
  }

  /** Those before `place`, and those after it. */
  #split(at: Place<T> | undefined, place: Place<T>): [Place<T> | undefined, Place<T> | undefined] {
    if (at === undefined) return [undefined, undefined];
    if (isLess(at, place)) {
      const [left, right] = this.#split(at.right, place);
      at.right = left;
      return [this.#pull(at), right];
    }
    const [left, right] = this.#split(at.left, place);
    at.left = right;
    return [left, this.#pull(at)];
  }

  #without(at: Place<T> | undefined, place: Place<T>): Place<T> | undefined {
    if (at === undefined) return undefined;
    if (at === place) return this.#merge(at.left, at.right);
    if (isLess(place, at)) at.left = this.#without(at.left, place);
    else at.right = this.#without(at.right, place);
    return this.#pull(at);
  }

  #merge(a: Place<T> | undefined, b: Place<T> | undefined): Place<T> | undefined {
    if (a === undefined || b === undefined) return a ?? b;
    if (a.chance > b.chance) {
      a.right = this.#merge(a.right, b);
      return this.#pull(a);
    }
    b.left = this.#merge(a, b.left);
    return this.#pull(b);
  }

  #pull(at: Place<T>): Place<T> {
    at.best = at.item;
    if (at.left !== undefined) at.best = this.#better(at.best, at.left.best);
    if (at.right !== undefined) at.best = this.#better(at.best, at.right.best);
    return at;
  }
}

function isLess<T>(a: Place<T>, b: Place<T>): boolean {
  return a.size === b.size ? a.seq < b.seq : a.size < b.size;
}
