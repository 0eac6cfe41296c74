/** As much of the protocol buffers' wire format as cutting an ONNX model in two needs. */

export interface Field {
  readonly number: number;
  /** The value's bytes, without tag and length; empty for numbers. */
  readonly value: Uint8Array;
  /** The field as it is written, tag included. */
  readonly whole: Uint8Array;
}

export class WireError extends Error {
  override readonly name = "WireError";
}

const WIRE = { varint: 0, eightBytes: 1, lengthed: 2, fourBytes: 5 } as const;

/** The fields of one message, in their order; views of `bytes`, not copies. */
export function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const start = at;
    const tag = readVarint(bytes, at);
    at = tag.end;
    const kind = tag.value % 8;
    let from = at;
    if (kind === WIRE.varint) at = from = readVarint(bytes, at).end;
    else if (kind === WIRE.eightBytes) at = from = at + 8;
    else if (kind === WIRE.fourBytes) at = from = at + 4;
    else if (kind === WIRE.lengthed) {
      const length = readVarint(bytes, at);
      from = length.end;
      at = from + length.value;
    } else throw new WireError(`Wire type ${kind} is not known.`);
    if (at > bytes.length) throw new WireError("A field ends beyond its message.");
    fields.push({
      number: Math.floor(tag.value / 8),
      value: bytes.subarray(from, at),
      whole: bytes.subarray(start, at),
    });
  }
  return fields;
}

/** One length-delimited field: a string, bytes or a message. */
export function lengthed(number: number, value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return joined([varint(number * 8 + WIRE.lengthed), varint(bytes.length), bytes]);
}

export function number(number: number, value: number): Uint8Array {
  return joined([varint(number * 8 + WIRE.varint), varint(value)]);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function text(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}

function readVarint(bytes: Uint8Array, from: number): { value: number; end: number } {
  let value = 0;
  let factor = 1;
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, end: at + 1 };
    factor *= 128;
  }
  throw new WireError("A number ends beyond its message.");
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      bytes.push(rest);
      return Uint8Array.from(bytes);
    }
    bytes.push((rest % 128) + 128);
  }
}
