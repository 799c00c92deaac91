// SPDX-License-Identifier: MIT
// Bytes for people: as text, as hex, as numbers, as checksums, and back. Nothing here touches the page.

export function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  // fromCharCode takes its bytes as arguments, and engines bound how many of these there are.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}

export function concat(pieces: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const hex2 = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
export const hexByte = (byte: number): string => hex2[byte & 255] ?? "";

export function toHex(bytes: Uint8Array, between = " "): string {
  return Array.from(bytes, hexByte).join(between);
}

// For a program: "unsigned char data[3] = {\n    0x01, ...\n};"
export function toC(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 12)
    lines.push(`    ${Array.from(bytes.subarray(at, at + 12), (byte) => `0x${hexByte(byte)},`).join(" ")}`);
  return `static const unsigned char data[${bytes.length}] = {\n${lines.join("\n")}\n};\n`;
}

// ---- text

// What a person reads. `escape`: a character or byte that would not be seen, or would change how others are seen.
export interface Piece { text: string; escape: boolean; at: number; n: number }

// Controls, formats (bidi among them), unassigned and private ones; spaces but the usual one; what has no ink.
const unseen = /[\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
const mark = /\p{M}/u;
const named = new Map([[0, "\\0"], [9, "\\t"], [10, "\\n"], [13, "\\r"]]);

// How many bytes the UTF-8 character at `at` has; 0: none is there.
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const n = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (!n || at + n > bytes.length) return 0;
  for (let i = 1; i < n; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1] ?? 0;
  // Overlong forms, surrogates, and what is beyond the last character.
  const bad = (first === 0xe0 && second < 0xa0) || (first === 0xed && second > 0x9f) || (first === 0xf0 && second < 0x90)
    || (first === 0xf4 && second > 0x8f);
  return bad ? 0 : n;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function escapeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return named.get(code) ?? (code < 0x80 ? `\\x${hexByte(code)}` : `\\u{${code.toString(16)}}`);
}

interface Shown { character: string; text: string; escape: boolean; at: number; n: number }

function* characters(bytes: Uint8Array): Generator<Shown> {
  let marks = 0;
  for (let at = 0, n = 1; at < bytes.length; at += n) {
    n = characterLength(bytes, at);
    if (!n) {
      n = 1;
      marks = 0;
      yield { character: "", text: `\\x${hexByte(bytes[at] ?? 0)}`, escape: true, at, n };
      continue;
    }
    const character = decoder.decode(bytes.subarray(at, at + n));
    marks = mark.test(character) ? marks + 1 : 0;
    // More than two marks on one letter are there to cover its neighbours; one at the start covers what is before it.
    const escape = unseen.test(character) || marks > 2 || (marks > 0 && at === 0);
    yield { character, text: escape ? escapeOf(character) : character, escape, at, n };
  }
}

// Text and escapes in turn. A line feed is an escape and then a piece of its own, the line break, of no bytes.
export function pieces(bytes: Uint8Array): Piece[] {
  const all: Piece[] = [];
  for (const { character, text, escape, at, n } of characters(bytes)) {
    const last = all[all.length - 1];
    if (last && last.escape === escape && last.n) {
      last.text += text;
      last.n += n;
    } else all.push({ text, escape, at, n });
    if (character === "\n" && at + n < bytes.length) all.push({ text: "\n", escape: false, at: at + n, n: 0 });
  }
  return all;
}

// To paste elsewhere: lines and tabs as they are, all else that can't be seen as escapes.
export function toText(bytes: Uint8Array): string {
  let whole = "";
  for (const { character, text } of characters(bytes)) whole += character && "\t\n\r".includes(character) ? character : text;
  return whole;
}

export function isUtf8(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length;) {
    const n = characterLength(bytes, at);
    if (!n) return false;
    at += n;
  }
  return true;
}

// ---- hex

export interface Mistake { error: string; at: number }
export type Parsed<T> = { value: T } | Mistake;
export const isMistake = (parsed: object): parsed is Mistake => "error" in parsed;

// "01 0x02,03;\n04-05 \x06 0708": pairs of digits, with whatever people put between them. `at` counts characters.
export function parseHex(text: string): Parsed<Uint8Array> {
  const bytes: number[] = [];
  const token = /(?:0x|\\x|[$#])?([0-9a-f]+)h?|[\s,;:_|.\-{}[\]()"']+/giy;
  while (token.lastIndex < text.length) {
    const at = token.lastIndex;
    const found = token.exec(text);
    if (!found) return { error: `"${text.slice(at, at + 1)}" is not a hex digit`, at };
    const digits = found[1];
    if (digits === undefined) continue;
    // A single digit with a prefix, or standing alone, is a byte: "0x1, 2".
    if (digits.length === 1) bytes.push(parseInt(digits, 16));
    else if (digits.length % 2)
      return { error: `${digits.length} hex digits in a row: two make a byte`, at: at + found[0].indexOf(digits) };
    else for (let i = 0; i < digits.length; i += 2) bytes.push(parseInt(digits.slice(i, i + 2), 16));
  }
  return { value: Uint8Array.from(bytes) };
}

export interface DumpLine { at: number; bytes: Uint8Array; ascii: string }

export function dump(bytes: Uint8Array, width: number): DumpLine[] {
  const lines: DumpLine[] = [];
  for (let at = 0; at < bytes.length; at += width) {
    const part = bytes.subarray(at, at + width);
    lines.push({ at, bytes: part, ascii: Array.from(part, (b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("") });
  }
  return lines;
}

// The first place of `what` in `bytes`, from `from`; -1: nowhere.
export function find(bytes: Uint8Array, what: Uint8Array, from = 0): number {
  if (!what.length) return -1;
  const first = what[0] ?? 0;
  for (let at = bytes.indexOf(first, from); at >= 0 && at + what.length <= bytes.length; at = bytes.indexOf(first, at + 1)) {
    let i = 1;
    while (i < what.length && bytes[at + i] === what[i]) i++;
    if (i === what.length) return at;
  }
  return -1;
}

// ---- checksums

export type ChecksumName = "none" | "sum8" | "xor" | "modbus" | "ccitt" | "crc32";
export type Order = "big" | "little";

interface Checksum { title: string; bytes: number; order: Order; of(bytes: Uint8Array): number }

// Reflected: the lowest bit first, as in CRC-16/MODBUS and CRC-32.
function crcReflected(bytes: Uint8Array, polynomial: number, first: number): number {
  let crc = first;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
  }
  return crc >>> 0;
}

function crcCcitt(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}

// With the byte order that each is usually sent in.
export const checksums: Record<Exclude<ChecksumName, "none">, Checksum> = {
  sum8: { title: "Sum, 8 bits", bytes: 1, order: "big", of: (bytes) => bytes.reduce((sum, byte) => (sum + byte) & 255, 0) },
  xor: { title: "XOR, 8 bits", bytes: 1, order: "big", of: (bytes) => bytes.reduce((sum, byte) => sum ^ byte, 0) },
  modbus: { title: "CRC-16/MODBUS", bytes: 2, order: "little", of: (bytes) => crcReflected(bytes, 0xa001, 0xffff) },
  ccitt: { title: "CRC-16/CCITT-FALSE", bytes: 2, order: "big", of: crcCcitt },
  crc32: { title: "CRC-32", bytes: 4, order: "big", of: (bytes) => (crcReflected(bytes, 0xedb88320, 0xffffffff) ^ 0xffffffff) >>> 0 },
};

export function checksum(name: ChecksumName, bytes: Uint8Array, order?: Order): Uint8Array {
  if (name === "none") return new Uint8Array(0);
  const kind = checksums[name];
  const value = kind.of(bytes);
  const big = Uint8Array.from({ length: kind.bytes }, (_, i) => (value >>> (8 * (kind.bytes - 1 - i))) & 255);
  return (order ?? kind.order) === "big" ? big : big.reverse();
}

// Which checksums of what stands before it the bytes end with: "CRC-16/MODBUS, low byte first".
export function endsWithChecksum(bytes: Uint8Array): string | null {
  for (const name of ["crc32", "modbus", "ccitt"] as const) {
    const { title, bytes: n } = checksums[name];
    if (bytes.length <= n + 1) continue;
    const tail = toHex(bytes.subarray(bytes.length - n));
    for (const order of ["big", "little"] as const)
      if (toHex(checksum(name, bytes.subarray(0, bytes.length - n), order)) === tail)
        return `${title}, ${order === "big" ? "high" : "low"} byte first`;
  }
  return null;
}

// ---- numbers

export interface Reading { name: string; little: string; big: string | null }

const real = (value: number, digits: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : String(value));

// What the bytes at `at` are when they are numbers. Only what fits is read.
export function inspect(bytes: Uint8Array, at: number): Reading[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const readings: Reading[] = [];
  if (view.byteLength < 1) return readings;
  readings.push({ name: "u8", little: String(view.getUint8(0)), big: null }, { name: "i8", little: String(view.getInt8(0)), big: null });
  const read = (size: number, name: string, get: (little: boolean) => string): void => {
    if (view.byteLength >= size) readings.push({ name, little: get(true), big: get(false) });
  };
  read(2, "u16", (little) => String(view.getUint16(0, little)));
  read(2, "i16", (little) => String(view.getInt16(0, little)));
  read(4, "u32", (little) => String(view.getUint32(0, little)));
  read(4, "i32", (little) => String(view.getInt32(0, little)));
  read(8, "u64", (little) => String(view.getBigUint64(0, little)));
  read(8, "i64", (little) => String(view.getBigInt64(0, little)));
  read(4, "f32", (little) => real(view.getFloat32(0, little), 8));
  read(8, "f64", (little) => real(view.getFloat64(0, little), 16));
  return readings;
}
