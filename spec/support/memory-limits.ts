import {
  lease,
  type SharedAnswer,
  type SharedLimits,
  type SharedMessage,
} from '../../lib/model/shared-limits.js';

interface Grain {
  at: number;
  amount: number;
}

interface Row {
  readonly ends: number;
  readonly held: number;
  /** Since when it waits; 0: it does not. */
  readonly since: number;
  readonly again: boolean;
  readonly tokens: number;
  readonly sizes: ReadonlyMap<string, number>;
}

/** What servers keep for limits that processes share, in memory: they answer the same. */
export class MemoryLimits {
  readonly #now: () => number;
  readonly #rows = new Map<string, Row>();
  readonly #answers = new Map<string, { seq: number; answer: SharedAnswer }>();
  readonly #grains = new Map<string, Map<number, Grain>>();
  readonly #foreign = new Map<string, { amount: number; until: number }>();
  #hold = 0;
  #next = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A process that reaches it over `way`, which may lose messages or take its time. */
  for(way: (work: () => SharedAnswer) => ReturnType<SharedLimits['exchange']>): SharedLimits {
    return { exchange: (message) => way(() => this.answer(message)), busy: () => undefined };
  }

  answer(m: SharedMessage): SharedAnswer {
    const said = this.#answers.get(m.from);
    if (said !== undefined && m.seq <= said.seq) return said.answer;
    const now = this.#now();
    const own = this.#rows.get(m.from);
    const since = own !== undefined && own.ends > now && own.since > 0 ? own.since : now;
    for (const [id, row] of this.#rows) if (id !== m.from && row.ends <= now) this.#rows.delete(id);
    const others = [...this.#rows].filter(([id]) => id !== m.from);
    const held = m.held + others.reduce((sum, [, row]) => sum + row.held, 0);
    const first = others.filter(
      ([id, row]) => row.since > 0 && (row.since < since || (row.since === since && id < m.from)),
    );
    const starting = first.filter(([, row]) => !row.again);
    const windows = m.windows.map((window) => {
      const size = Math.max(window.size, ...others.map(([, row]) => row.sizes.get(window.name) ?? 0));
      const grains = this.#grains.get(window.name) ?? new Map<number, Grain>();
      this.#grains.set(window.name, grains);
      for (const [key, { at }] of grains) if (at + size <= now) grains.delete(key);
      const sum = (): number => [...grains.values()].reduce((all, { amount }) => all + amount, 0);
      const change = (when: number, by: number, take: boolean): void => {
        const at = Math.min(when, now + 5_000);
        const key = Math.floor(at / window.grain);
        if (by === 0 || at + size <= now || (!take && !grains.has(key))) return;
        const grain = grains.get(key) ?? { at: 0, amount: 0 };
        grains.set(key, {
          at: take ? Math.max(grain.at, at) : grain.at,
          amount: Math.max(0, grain.amount + by),
        });
      };
      return { ...window, size, grains, sum, change };
    });
    type Window = (typeof windows)[number];
    const pick = ({ kind }: Window, of: { requests: number; tokens: number }): number => of[kind];
    for (const one of m.changes)
      for (const window of windows) window.change(one.at, pick(window, one), one.take === true);
    for (const { name, left, ms } of m.told) {
      const window = windows.find((one) => one.name === name);
      if (window === undefined) continue;
      const { amount, until } = this.#foreignOf(name, now);
      const missing = window.max - window.sum() - amount - Math.min(left, window.max);
      const till = missing > 0 ? Math.max(until, now + Math.min(ms, window.size)) : until;
      this.#foreign.set(name, { amount: Math.max(0, amount + missing), until: till });
    }
    if (m.hold > 0) this.#hold = Math.max(this.#hold, now + m.hold);
    const used = (window: Window): number => window.sum() + this.#foreignOf(window.name, now).amount;
    let granted = m.ask?.count ?? 0;
    let wait = 0;
    const no = (ms: number): void => {
      granted = 0;
      wait = Math.max(wait, ms, 1);
    };
    const { ask } = m;
    if (ask !== undefined && !ask.again) {
      if (this.#hold > now) no(this.#hold - now);
      for (const window of windows) {
        const need = Math.min(pick(window, { requests: 1, tokens: ask.tokens }), window.max);
        const kept = pick(window, {
          requests: starting.length,
          tokens: starting.reduce((sum, [, { tokens }]) => sum + tokens, 0),
        });
        const free = window.max - used(window) - kept;
        if (need > free) no(this.#opensIn(window, need + kept, now));
        else if (need > 0) granted = Math.min(granted, Math.floor(free / need));
      }
      if (m.gap > 0 && now < this.#next) no(this.#next - now + first.length * m.gap);
      else if (m.gap > 0 && first.length > 0) no(first.length * m.gap);
      else if (m.gap > 0) granted = Math.min(granted, 1);
    }
    if (ask !== undefined && m.places > 0) {
      const free = m.places - held - first.length;
      if (free < 1) no(Math.min(25 * (first.length + 1), 250));
      else granted = Math.min(granted, free);
    }
    if (ask !== undefined && granted > 0 && !ask.again) {
      for (const window of windows)
        window.change(now, granted * pick(window, { requests: 1, tokens: ask.tokens }), true);
      if (m.gap > 0) this.#next = now + m.gap;
    }
    const waits = ask !== undefined && granted === 0;
    if (waits || m.held + granted > 0)
      this.#rows.set(m.from, {
        ends: now + lease,
        held: m.held + granted,
        since: waits ? since : 0,
        again: ask?.again ?? false,
        tokens: ask?.tokens ?? 0,
        sizes: new Map(m.windows.map(({ name, size }) => [name, size])),
      });
    else this.#rows.delete(m.from);
    const answer = {
      now,
      granted,
      wait: Math.ceil(wait),
      hold: Math.max(0, this.#hold - now),
      inUse: held + granted,
      used: Object.fromEntries(windows.map((window) => [window.name, used(window)])),
    };
    this.#answers.set(m.from, { seq: m.seq, answer });
    return answer;
  }

  #foreignOf(name: string, now: number): { amount: number; until: number } {
    const { amount, until } = this.#foreign.get(name) ?? { amount: 0, until: 0 };
    return { amount: until > now ? amount : 0, until };
  }

  #opensIn(
    window: { name: string; max: number; size: number; sum(): number; grains: Map<number, Grain> },
    amount: number,
    now: number,
  ): number {
    const { amount: foreign, until } = this.#foreignOf(window.name, now);
    let over = window.sum() + foreign + amount - window.max;
    const back = [...window.grains.values()].map((one) => ({ at: one.at + window.size, amount: one.amount }));
    if (foreign > 0) back.push({ at: until, amount: foreign });
    for (const one of back.sort((a, b) => a.at - b.at)) {
      over -= one.amount;
      if (over <= 0) return one.at - now;
    }
    return over > 0 ? window.size : 0;
  }
}
