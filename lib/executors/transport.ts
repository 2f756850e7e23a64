import type { Observable } from 'rxjs';
import type { RxhiveError } from '../kernel/errors.js';
import type { Order, Wire, Word } from '../model/wire.js';
import type { WorkerFacts } from '../model/worker.js';

/** Which workers may do an order: those that serve exactly these labels, of this version. */
export interface Where {
  readonly labels: readonly string[];
  readonly version: string;
}

/** A worker that is there, and how many attempts it takes at once. */
export interface PresentWorker extends WorkerFacts {
  readonly slots: number;
}

/** How a job stands. */
export type JobState =
  | { readonly state: 'unknown' }
  | { readonly state: 'waiting'; readonly order: Order }
  /** `worker`: id of the one that has it, where that is known. */
  | { readonly state: 'active'; readonly worker: string | undefined; readonly order: Order }
  /** `last` undefined: it ended without a word, for its worker was lost. */
  | { readonly state: 'ended'; readonly last: Word | undefined; readonly order: Order };

/** What a transport notices by itself; any of it may be missing, or come twice. */
export type TransportNews =
  | { readonly kind: 'ended'; readonly job: string; readonly last: Word | undefined }
  /** Its worker has lost the lock. */
  | { readonly kind: 'stalled'; readonly job: string }
  /** It was there when it was added. */
  | { readonly kind: 'known'; readonly job: string }
  /** A server that was there is away, and why; undefined: it is back. */
  | { readonly kind: 'server'; readonly away: RxhiveError | undefined }
  /** All workers there are at a place, told when it is watched and whenever they are others. */
  | { readonly kind: 'workers'; readonly where: Where; readonly workers: readonly PresentWorker[] };

/** The engine that carries orders to workers and words back, as controllers use it. Errors are RxhiveErrors. */
export interface RemoteTransport {
  /** The own mailbox: what workers say comes there. */
  readonly wire: Wire;
  readonly news$: Observable<TransportNews>;
  /** Begins to tell of the workers of a place. */
  watch(where: Where): void;
  /**
   * Hands an order over. Undefined: it was added. An order: a job with this id was there already, with that order; where
   * it need not be (`again` false), that may be told as news instead.
   * @throws RxhiveError QUEUE_FAILED: the server has not been there for 5 s, or refuses us. One that was there is waited for.
   */
  add(
    job: string,
    order: Order,
    how: Where & {
      /** Higher first, from -65,536 to 65,536 in steps of 1/16; beyond it is cut off. */
      readonly priority: number;
      /** An earlier controller may have handed it over. */
      readonly again: boolean;
    },
  ): Promise<Order | undefined>;
  /** A job that waits gets another priority, as for `add`; any other stays as it is. */
  prioritize(job: string, where: Where, priority: number): Promise<void>;
  /** Removes a job that waits or has ended. True: it is gone; false: a worker has it. */
  remove(job: string, where: Where): Promise<boolean>;
  /** How jobs stand, in the order asked. */
  look(jobs: readonly { readonly job: string; readonly where: Where }[]): Promise<readonly JobState[]>;
  /** What is said of a job that waits or runs goes to another mailbox. */
  redirect(job: string, where: Where, to: string): Promise<void>;
  close(): Promise<void>;
}
