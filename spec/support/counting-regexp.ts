/** A part of an expression: tries at `at`, and asks `next` where it ends. */
type Part = (at: number, next: (at: number) => boolean) => boolean;

/**
 * Runs a regular expression by backtracking, as engines do, and counts the steps, so that a test can see how they grow with
 * the text whatever the machine does. Knows what the expressions of this project use; throws for anything else.
 */
export class CountingRegExp {
  steps = 0;
  readonly #source: string;
  readonly #ignoreCase: boolean;
  #text = '';
  #at = 0;
  readonly #root: Part;

  constructor({ source, flags }: RegExp) {
    this.#source = source;
    this.#ignoreCase = flags.includes('i');
    this.#root = this.#choice();
    if (this.#at !== source.length) throw new Error(`cannot read ${source} at ${this.#at}`);
  }

  /** Looks for all places, and returns how many there are. */
  count(text: string): number {
    this.#text = text;
    this.steps = 0;
    let found = 0;
    for (let at = 0; at <= text.length; at++) {
      let end = -1;
      const ends = (where: number): boolean => {
        end = where;
        return true;
      };
      if (!this.#root(at, ends)) continue;
      found += 1;
      at = Math.max(at, end - 1);
    }
    return found;
  }

  #choice(): Part {
    const ways = [this.#sequence()];
    while (this.#eat('|')) ways.push(this.#sequence());
    return ways.length === 1 ? (ways[0] as Part) : (at, next) => ways.some((way) => way(at, next));
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at] as string))
      parts.push(this.#repeated());
    const from =
      (i: number): Part =>
      (at, next) =>
        i === parts.length ? next(at) : (parts[i] as Part)(at, (end) => from(i + 1)(end, next));
    return from(0);
  }

  #repeated(): Part {
    const single = this.#single();
    const part: Part = typeof single === 'function' ? single : this.#one(single.holds);
    const times = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})(\??)/.exec(this.#source.slice(this.#at));
    if (times === null) return part;
    this.#at += times[0].length;
    const [, sign, least, comma, most] = times;
    const min = sign === undefined ? Number(least) : sign === '+' ? 1 : 0;
    const none = Number.POSITIVE_INFINITY;
    const max =
      sign === undefined ? (comma === '' ? min : most === '' ? none : Number(most)) : sign === '?' ? 1 : none;
    const lazy = times[5] === '?';
    if (typeof single !== 'function') return this.#run(single.holds, min, max, lazy);
    const more = (left: number, at: number, next: (at: number) => boolean): boolean => {
      if (left <= max - min && next(at)) return true;
      return left > 0 && part(at, (end) => end > at && more(left - 1, end, next));
    };
    return (at, next) => {
      const greedy = (done: number, where: number): boolean =>
        (done < max && part(where, (end) => end > where && greedy(done + 1, end))) ||
        (done >= min && next(where));
      return lazy ? more(max, at, next) : greedy(0, at);
    };
  }

  /** Characters of one kind: a loop, since a text is longer than a stack. */
  #run(holds: (char: string) => boolean, min: number, max: number, lazy: boolean): Part {
    return (at, next) => {
      const may = (end: number): boolean => {
        this.steps += 1;
        return end - at < max && end < this.#text.length && holds(this.#text[end] as string);
      };
      let end = at;
      if (lazy) {
        for (; ; end++) {
          if (end - at >= min && next(end)) return true;
          if (!may(end)) return false;
        }
      }
      while (may(end)) end += 1;
      for (; end - at >= min; end--) {
        this.steps += 1;
        if (next(end)) return true;
      }
      return false;
    };
  }

  #one(holds: (char: string) => boolean): Part {
    return (at, next) => {
      this.steps += 1;
      return at < this.#text.length && holds(this.#text[at] as string) && next(at + 1);
    };
  }

  #single(): Part | { readonly holds: (char: string) => boolean } {
    if (this.#eat('(')) return this.#group();
    if (this.#eat('$')) return (at, next) => at === this.#text.length && next(at);
    if (this.#eat('^')) return (at, next) => at === 0 && next(at);
    if (this.#eat('\\b')) {
      const word = (at: number): boolean => /\w/.test(this.#text[at] ?? '');
      return (at, next) => word(at - 1) !== word(at) && next(at);
    }
    const kind = /^(?:\[(?:\\.|[^\]\\])*\]|\\.|[^()|*+?{}])/.exec(this.#source.slice(this.#at))?.[0];
    if (kind === undefined) throw new Error(`cannot read ${this.#source} at ${this.#at}`);
    this.#at += kind.length;
    const is = new RegExp(`^(?:${kind})$`, this.#ignoreCase ? 'is' : 's');
    const known = new Map<string, boolean>();
    return {
      holds: (char) => {
        const held = known.get(char) ?? is.test(char);
        known.set(char, held);
        return held;
      },
    };
  }

  #group(): Part {
    const look = ['?<!', '?<=', '?!', '?=', '?:'].find((kind) => this.#eat(kind)) ?? '';
    const inner = this.#choice();
    if (!this.#eat(')')) throw new Error(`cannot read ${this.#source} at ${this.#at}`);
    if (look === '' || look === '?:') return inner;
    const behind = (at: number): boolean => {
      for (let from = at; from >= 0 && from > at - 100; from--)
        if (inner(from, (end) => end === at)) return true;
      return false;
    };
    const holds = look.startsWith('?<') ? behind : (at: number): boolean => inner(at, () => true);
    return (at, next) => holds(at) === look.endsWith('=') && next(at);
  }

  #eat(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
}
