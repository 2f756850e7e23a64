import type { LoadSample } from '../model/load.js';

/** From where on the machine is busy, and below which it is calm. Between them nothing changes. */
interface Marks {
  readonly high: number;
  readonly low: number;
}

type Name = keyof LoadSample;

/** The first that is high is the one that is told. */
const marks: Readonly<Record<Name, Marks>> = {
  eventLoop: { high: 0.9, low: 0.7 },
  delayMs: { high: 100, low: 50 },
  memory: { high: 0.9, low: 0.8 },
  cpu: { high: 0.95, low: 0.85 },
};
const names = Object.keys(marks) as Name[];

/** What a busy sample leaves. */
const kept = 0.7;
/** What a rise adds, at least one. */
const more = 0.1;
/** Calm samples in a row that a rise takes, and how many at most where the machine has been busy. */
const leastPatience = 3;
const mostPatience = 48;

/** What a limit by load needs to know of the run. */
export interface InUse {
  /** Tasks that run. */
  readonly active: number;
  /** What the other limits allow; 0: somebody pauses the run. */
  readonly most: number;
}

/**
 * How many tasks a busy machine should run at once. Pure: it knows samples and nothing else, not even the time. A busy
 * sample takes three tenths of what runs away; the next one not before as few run as that allows, for until then it has
 * not had its effect. Calm samples give a tenth back; the number at which it was busy is tried again ever more rarely.
 */
export class LoadLimit {
  /** Whole, at least 1; Infinity: none. */
  limit = Number.POSITIVE_INFINITY;
  readonly #names: readonly Name[];
  #busy = false;
  /** What the machine was last busy with. */
  #reason = '';
  #calm = 0;
  /** Tasks that ran when the machine was last busy, and calm samples it takes to let as many run again. */
  #ceiling = Number.POSITIVE_INFINITY;
  #patience = leastPatience;
  /** The last change was a rise. */
  #rose = false;

  /** `memory`: is it a reason? Not where watermarks say what is to happen. */
  constructor({ memory }: { readonly memory: boolean }) {
    this.#names = memory ? names : names.filter((name) => name !== 'memory');
  }

  update(sample: LoadSample, { active, most }: InUse): void {
    const known = this.#names.filter((name) => isShare(sample[name]));
    const high = known.find((name) => (sample[name] as number) >= marks[name].high);
    if (high !== undefined) {
      this.#reason = shown(high, sample[high] as number);
      this.#fall(active, most);
    } else if (known.length > 0 && known.every((name) => (sample[name] as number) < marks[name].low))
      this.#rise(most);
    else this.#calm = 0;
    this.#busy = high !== undefined;
  }

  /** Why there is a limit. */
  reason(): string {
    return `because the machine ${this.#busy ? 'is' : 'was'} busy (${this.#reason})`;
  }

  #fall(active: number, most: number): void {
    this.#calm = 0;
    if (active > this.limit) return;
    const from = active > 0 || most === 0 ? active : Math.min(this.limit, most);
    if (from === 0) return;
    if (this.#rose) {
      const same = Math.abs(from - this.#ceiling) <= Math.max(1, from * more);
      this.#patience = same ? Math.min(mostPatience, this.#patience * 2) : leastPatience;
    }
    this.#ceiling = from;
    this.#rose = false;
    this.limit = Math.max(1, Math.floor(from * kept));
  }

  #rise(most: number): void {
    this.#calm += 1;
    const next = this.limit + Math.max(1, Math.floor(this.limit * more));
    if (this.#calm < (next >= this.#ceiling ? this.#patience : leastPatience)) return;
    this.#calm = 0;
    if (this.limit >= this.#ceiling) this.#ceiling = Number.POSITIVE_INFINITY;
    if (this.limit === Number.POSITIVE_INFINITY) return;
    this.#rose = true;
    // While somebody pauses the run, `most` is 0 and no reason to forget the limit.
    this.limit = most > 0 && next >= most ? Number.POSITIVE_INFINITY : next;
  }
}

function isShare(value: unknown): boolean {
  return typeof value === 'number' && value >= 0;
}

function shown(name: Name, value: number): string {
  if (name === 'delayMs') return `timers ${Math.round(value)} ms late`;
  return `${name === 'eventLoop' ? 'event loop' : name === 'cpu' ? 'CPU' : name} ${percent(value)}`;
}

/** A share as people read it. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
