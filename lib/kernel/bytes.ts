/** The kinds of bytes that come back as what they were. Views keep the part of their buffer that they show. */
const kinds = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
  ArrayBuffer,
] as const;

const byName = new Map<string, (typeof kinds)[number]>(kinds.map((one) => [one.name, one]));
const names = new Map<unknown, string>(kinds.map((one) => [one.prototype, one.name]));
names.set(Buffer.prototype, 'Buffer');

export function isBytes(value: object): value is ArrayBuffer | ArrayBufferView<ArrayBuffer> {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

/** What kind of bytes it is; undefined for a subclass. */
export function bytesKind(value: ArrayBuffer | ArrayBufferView): string | undefined {
  return names.get(Object.getPrototypeOf(value));
}

/** The bytes themselves, of their own: nobody else can change them. */
export function copiedBytes(value: ArrayBuffer | ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice()
    : new Uint8Array(value).slice();
}

/** Bytes as an object of a kind. @throws TypeError for no kind, RangeError for a length that does not fit */
export function bytesOf(kind: string, bytes: Uint8Array<ArrayBuffer>): object {
  if (kind === 'Buffer') return Buffer.from(bytes.buffer);
  const made = byName.get(kind);
  if (made === undefined) throw new TypeError(`unknown bytes ${kind.slice(0, 40)}`);
  return made === ArrayBuffer ? bytes.buffer : new (made as typeof DataView)(bytes.buffer);
}

/** Bytes as base64. */
export function textOfBytes(value: ArrayBuffer | ArrayBufferView): string {
  const bytes = ArrayBuffer.isView(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : Buffer.from(value);
  return bytes.toString('base64');
}

/** @throws TypeError for what is no base64 */
export function bytesOfText(text: string): Uint8Array<ArrayBuffer> {
  const chars = charsOf(text);
  const bytes = new Uint8Array(chars.length);
  for (let i = 0; i < chars.length; i++) bytes[i] = chars.charCodeAt(i);
  return bytes;
}

function charsOf(text: string): string {
  try {
    return atob(text);
  } catch (error) {
    throw new TypeError('no base64', { cause: error });
  }
}
