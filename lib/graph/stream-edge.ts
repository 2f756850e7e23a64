import { Subject } from 'rxjs';
import { readsStream, type StreamMode } from '../model/dependency.js';
import { usualCapacity } from '../model/waiting.js';
import { KeptValues } from './kept-values.js';
import { Edge, type TaskNode } from './node.js';

/** A dependency whose values are read while they come. */
export class StreamEdge extends Edge {
  declare readonly mode: StreamMode;
  /** Values as they come; completes when the task has ended. */
  values$ = new Subject<unknown>();
  /** With `sampled`: what it has said last, also in an attempt before. */
  #sample: unknown = undefined;
  /** The task has said nothing that was told. */
  #silent = true;
  /** With `paired` and `merged`: what the task has said, beside what others did. */
  readonly kept: KeptValues | undefined;
  /** With `paired` and `merged`: values that may wait for their partners, or for the reader to start. */
  readonly capacity: number;

  constructor(from: TaskNode, to: TaskNode, mode: StreamMode, key: string | undefined, capacity?: number) {
    super(from, to, mode, key, undefined);
    this.capacity = capacity ?? usualCapacity;
    to.streaming = true;
    from.more().watched = true;
    if (mode === 'latest' || mode === 'sampled') return;
    const extra = to.more();
    extra.kept ??= new KeptValues(mode);
    extra.kept.add(this);
    this.kept = extra.kept;
  }

  /** What it delivers at this moment. */
  get now(): unknown {
    const { from, mode } = this;
    if (this.kept !== undefined) return this.kept.firstOf(this);
    if (from.status === 'succeeded' || from.status === 'restored') return from.value;
    return mode === 'sampled' ? this.#sample : from.extra?.live?.value;
  }

  /** The task has said a value. False: too many wait for the reader. */
  say(value: unknown): boolean {
    this.#silent = false;
    if (this.mode === 'sampled') this.#sample = value;
    else if (this.kept?.keep(this, value) === false) return false;
    this.values$.next(value);
    return true;
  }

  /** The task has succeeded: what says nothing before has its result as its only value. False: too many wait. */
  end(): boolean {
    const room = this.mode === 'latest' || !this.#silent || this.say(this.from.value);
    this.kept?.ended(this);
    this.values$.complete();
    return room;
  }

  /** The task begins again. False: that is nothing to who reads it. */
  retract(): boolean {
    this.#silent = true;
    this.kept?.forget(this);
    return this.mode !== 'sampled';
  }

  /** An attempt of the reader begins: the values it is told come from there. */
  open(): Subject<unknown> {
    this.values$ = new Subject();
    return this.values$;
  }
}

/** Is the edge one whose silence is no reason to keep a slot? */
export function isSilent({ mode, from }: Edge): boolean {
  if (from.ended || mode === 'sampled' || !readsStream(mode)) return false;
  if (from.status === 'suspended') return from.definition.feeds !== true; // what feeds goes on talking without a slot
  // Of those that are merged, the first to speak begins: the others may need the slot for it.
  return mode === 'merged' && from.status !== 'running';
}
