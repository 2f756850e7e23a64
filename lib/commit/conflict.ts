import { getOrInsert } from '../kernel/get-or-insert.js';

interface Written {
  /** Newest commit that wrote exactly here, replacing what is below. */
  self: number;
  /** Newest commit that wrote here or below. */
  max: number;
  writer: string;
  below: Map<PropertyKey, Written> | undefined;
}

/** A write newer than a read. */
export interface Clash {
  readonly writer: string;
  readonly path: readonly PropertyKey[];
}

function blank(): Written {
  return { self: 0, max: 0, writer: '', below: undefined };
}

/** Who wrote each part of the state last: a trie of commit numbers, asked whether a read still holds. */
export class LastWrites {
  #root = blank();

  /** Reads never look into an array, so a write to one place counts as one to all of it: the trie stays small. */
  write(path: readonly PropertyKey[], seq: number, writer: string): void {
    let node = this.#root;
    for (let i = 0; i < path.length; i++) {
      const key = path[i] as PropertyKey;
      if (typeof key === 'number') break;
      node.max = seq;
      node.below ??= new Map();
      node = getOrInsert(node.below, key, blank);
    }
    node.self = node.max = seq;
    node.writer = writer;
    node.below = undefined;
  }

  /** The write that makes a read of `path` at commit `base` out of date. */
  clash(path: readonly PropertyKey[], base: number): Clash | undefined {
    let node = this.#root;
    for (let i = 0; i < path.length; i++) {
      if (node.self > base) return { writer: node.writer, path: path.slice(0, i) };
      const next = node.below?.get(path[i] as PropertyKey);
      if (next === undefined) return undefined;
      node = next;
    }
    const at = [...path];
    while (node.max > base) {
      if (node.self > base) return { writer: node.writer, path: at };
      const newer = [...(node.below ?? [])].find(([, below]) => below.max > base);
      if (newer === undefined) return undefined;
      at.push(newer[0]);
      node = newer[1];
    }
    return undefined;
  }

  /** Number of the newest commit that wrote at `path`, above or below it; 0: none. */
  newest(path: readonly PropertyKey[]): number {
    let node = this.#root;
    let newest = 0;
    for (const key of path) {
      newest = Math.max(newest, node.self);
      const next = node.below?.get(key);
      if (next === undefined) return newest;
      node = next;
    }
    return Math.max(newest, node.max);
  }

  clear(): void {
    this.#root = blank();
  }
}
