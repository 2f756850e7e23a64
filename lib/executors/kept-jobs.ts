/** Bytes of a row: its version, its length, and its text. */
const rowBytes = 256;
const headBytes = 8;

/**
 * The locks that a worker holds, in memory that its two threads share: a message to the other thread costs more than a
 * short attempt. The main thread writes, also right before a body that computes for long; the other one reads.
 */
export class KeptJobs {
  readonly memory: SharedArrayBuffer;
  readonly #heads: Int32Array;
  readonly #bytes: Buffer;
  readonly #free: number[] = [];

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#heads = new Int32Array(memory);
    this.#bytes = Buffer.from(memory);
    for (let row = memory.byteLength / rowBytes - 1; row >= 0; row--) this.#free.push(row);
  }

  /** For as many locks at once. */
  static withRows(rows: number): KeptJobs {
    return new KeptJobs(new SharedArrayBuffer(rows * rowBytes));
  }

  /** Answers with the row, to be forgotten. */
  keep(lock: KeptLock): number {
    const text = JSON.stringify([lock.queue, lock.job, lock.token]);
    if (Buffer.byteLength(text) > rowBytes - headBytes) throw new Error(`No row takes the lock ${text}.`);
    const row = this.#free.pop();
    if (row === undefined) throw new Error('No row is free for a lock.');
    this.#write(row, text);
    return row;
  }

  forget(row: number): void {
    this.#write(row, '');
    this.#free.push(row);
  }

  /** Does the row hold this lock still? */
  has(row: number, { queue, job, token }: KeptLock): boolean {
    return this.#read(row) === JSON.stringify([queue, job, token]);
  }

  /** All that is kept, but for rows that are being written: their locks have just been taken or given back. */
  read(): readonly (KeptLock & { readonly row: number })[] {
    const found: (KeptLock & { readonly row: number })[] = [];
    for (let row = 0; row < this.memory.byteLength / rowBytes; row++) {
      const text = this.#read(row);
      if (text === '') continue;
      const [queue, job, token] = JSON.parse(text) as [number, string, string];
      found.push({ row, queue, job, token });
    }
    return found;
  }

  /** The version is odd while the text is another one. */
  #write(row: number, text: string): void {
    const head = (row * rowBytes) / 4;
    Atomics.add(this.#heads, head, 1);
    const length = this.#bytes.write(text, row * rowBytes + headBytes);
    Atomics.store(this.#heads, head + 1, length);
    Atomics.add(this.#heads, head, 1);
  }

  #read(row: number): string {
    const head = (row * rowBytes) / 4;
    const before = Atomics.load(this.#heads, head);
    const from = row * rowBytes + headBytes;
    const text = this.#bytes.toString('utf8', from, from + Atomics.load(this.#heads, head + 1));
    // Adds nothing: unlike a load, it is never made before the text is read.
    return before % 2 === 0 && Atomics.add(this.#heads, head, 0) === before ? text : '';
  }
}

/** The lock of a job: its queue by number, and the token it is held with. */
export interface KeptLock {
  readonly queue: number;
  readonly job: string;
  readonly token: string;
}
