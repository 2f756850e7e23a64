import { encode } from '../codec/codec.js';
import type { Clock, Timer } from '../kernel/clock.js';
import type { BegunRecord } from '../model/record.js';

/** So many attempts of a run that goes on are noted before they begin: enough for each process to get further. */
const mostCareful = 1_000;
/** After so many processes that died without having got anything done, attempts are noted before they begin. */
const mostDeaths = 3;
/** Ms after which what has begun and not ended is noted. */
const longEnough = 100;

/** What writing about attempts needs. */
export interface AttemptLogPorts {
  readonly clock: Clock;
  append(body: string): void;
  /** Writes what waits now. */
  flush(): void;
}

/** Notes in the log which attempts are under way; one that ends soon is never noted, so it costs nothing. */
export class AttemptLog {
  readonly #ports: AttemptLogPorts;
  /** Begun and not noted, the oldest first. */
  readonly #fresh = new Map<string, { readonly attempt: number; readonly at: number }>();
  /** The log says that they are under way. */
  readonly #noted = new Set<string>();
  #timer: Timer | undefined;
  /** Attempts that are noted before they begin. */
  #careful = 0;

  constructor(ports: AttemptLogPorts) {
    this.#ports = ports;
  }

  /** So many processes have died, one after the other, without getting anything done. */
  afterDeaths(deaths: number): void {
    if (deaths >= mostDeaths) this.#careful = mostCareful;
  }

  began(id: string, attempt: number): void {
    const at = this.#ports.clock.now();
    this.#fresh.delete(id);
    this.#fresh.set(id, { attempt, at });
    if (this.#careful > 0) {
      // It may be what ended those processes, at once.
      this.#careful -= 1;
      this.#note(at);
      this.#ports.flush();
    } else this.#wait(longEnough);
  }

  ended(id: string): void {
    this.#fresh.delete(id);
    this.#noted.delete(id);
  }

  /** It was stopped with all others: the log has to say so. */
  stopped(id: string): void {
    this.#fresh.delete(id);
  }

  /** It waits for others: it cannot be what ends the process. */
  rests(id: string): void {
    this.#fresh.delete(id);
    if (!this.#noted.delete(id)) return;
    this.#fresh.set(id, { attempt: 0, at: this.#ports.clock.now() });
    this.#wait(longEnough);
  }

  /** Nothing is noted any more; true where the log says that something is under way. */
  close(): boolean {
    this.#ports.clock.cancel(this.#timer);
    return this.#noted.size > 0;
  }

  #wait(ms: number): void {
    this.#timer ??= this.#ports.clock.after(ms, () => {
      this.#timer = undefined;
      const now = this.#ports.clock.now();
      this.#note(now - longEnough);
      const oldest = this.#fresh.values().next().value?.at;
      if (oldest !== undefined) this.#wait(longEnough - (now - oldest));
    });
  }

  /** What has begun by then and goes on. */
  #note(upTo: number): void {
    const tasks: [string, number][] = [];
    for (const [id, { attempt, at }] of this.#fresh) {
      if (at > upTo) break;
      tasks.push([id, attempt]);
      this.#fresh.delete(id);
      if (attempt > 0) this.#noted.add(id);
    }
    if (tasks.length > 0) this.#ports.append(encode({ kind: 'begun', tasks } satisfies BegunRecord));
  }
}
