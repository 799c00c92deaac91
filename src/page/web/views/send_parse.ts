// SPDX-License-Identifier: MIT
// What is typed into the send box, and what of it goes over the feed. Nothing here touches the page.
//
// Text has escapes (\r \n \t \0 \xNN \u{...} \\) and macros ({n} {n:5} {time} {unix} {ms} {rand:4}; {{ is a brace). A
// brace that begins no name is itself, so that JSON can be typed as it is. Hex has the macros too.
import { checksum, concat, isMistake, isUtf8, parseHex, pieces, toBase64 } from "../bytes";
import type { ChecksumName, Order, Parsed } from "../bytes";
import type { Part } from "../types";

export type Mode = "text" | "hex";
export type LineEnd = "" | "\n" | "\r\n";
export interface Draft { mode: Mode; content: string; end: LineEnd; sum: ChecksumName; order: Order }

// Bytes that are known, or a macro, which is other bytes each time.
export type Bit = { bytes: Uint8Array } | Exclude<Part, { data: string }>;
export type Macro = Exclude<Bit, { bytes: Uint8Array }>;

const RANDOM_MAX = 65536;
const encoder = new TextEncoder();

// ---- reading

const times = new Map([["time", "iso"], ["unix", "unix"], ["ms", "unix_ms"]] as const) as ReadonlyMap<string, "iso" | "unix" | "unix_ms">;

function macroOf(name: string, argument: string | undefined): Macro | string {
  const time = times.get(name);
  if (time) return argument === undefined ? { time } : `{${name}} takes nothing after its name`;
  const number = argument === undefined ? NaN : /^\d{1,15}$/.test(argument) ? Number(argument) : -1;
  if (name === "n") {
    if (number < 0) return "{n:FIRST} wants a whole number, as in {n:5}";
    return { counter: Number.isNaN(number) ? 1 : number };
  }
  if (name === "rand") {
    if (!(number >= 1 && number <= RANDOM_MAX)) return `{rand:BYTES} wants a number from 1 to ${RANDOM_MAX}, as in {rand:4}`;
    return { random: number };
  }
  return `there is no macro {${name}}; for a brace itself write {{`;
}

// One escape at `at`, where the backslash stands: its bytes and its length, or what is wrong.
function escapeAt(source: string, at: number): { bytes: Uint8Array; length: number } | string {
  const rest = source.slice(at, at + 12);
  const single = { r: 13, n: 10, t: 9, "0": 0, "\\": 92 }[rest.charAt(1)];
  if (single !== undefined) return { bytes: Uint8Array.of(single), length: 2 };
  const byte = /^\\x([0-9a-f]{2})/i.exec(rest);
  if (byte) return { bytes: Uint8Array.of(parseInt(byte[1] ?? "", 16)), length: 4 };
  if (rest.startsWith("\\x")) return "\\x wants two hex digits, as in \\x1b";
  const code = /^\\u\{([0-9a-f]{1,6})\}/i.exec(rest);
  if (rest.startsWith("\\u")) {
    const value = code ? parseInt(code[1] ?? "", 16) : -1;
    if (value < 0) return "\\u wants braces around hex digits, as in \\u{e9}";
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return "there is no such character";
    return { bytes: encoder.encode(String.fromCodePoint(value)), length: code?.[0].length ?? 2 };
  }
  if (rest.length === 1) return "a backslash at the end; for a backslash itself write \\\\";
  return `there is no escape ${rest.slice(0, 2)}; for a backslash itself write \\\\`;
}

const macroHere = /\{([a-z]+)(?::([^{}\s]*))?\}/y;

function macroAt(source: string, at: number): { macro: Macro | string; length: number } | null {
  macroHere.lastIndex = at;
  const found = macroHere.exec(source);
  return found ? { macro: macroOf(found[1] ?? "", found[2]), length: found[0].length } : null;
}

function parseText(source: string, end: LineEnd): Parsed<Bit[]> {
  const bits: Bit[] = [];
  const lineBreak = encoder.encode(end || "\n");
  let plain = 0;
  const flush = (to: number): void => void (to > plain && bits.push({ bytes: encoder.encode(source.slice(plain, to)) }));
  for (let at = 0; at < source.length;) {
    const character = source.charAt(at);
    const macro = character === "{" ? macroAt(source, at) : null;
    let length = 1;
    if (character === "\\") {
      const escape = escapeAt(source, at);
      if (typeof escape === "string") return { error: escape, at };
      flush(at);
      bits.push({ bytes: escape.bytes });
      length = escape.length;
    } else if (character === "{" && source.charAt(at + 1) === "{") {
      flush(at + 1);
      length = 2;
    } else if (macro) {
      if (typeof macro.macro === "string") return { error: macro.macro, at };
      flush(at);
      bits.push(macro.macro);
      length = macro.length;
    } else if (character === "\n") {
      // What ends the message ends its lines as well.
      flush(at);
      bits.push({ bytes: lineBreak });
    } else {
      at++;
      continue;
    }
    at += length;
    plain = at;
  }
  flush(source.length);
  return { value: bits };
}

function parseHexBits(source: string): Parsed<Bit[]> {
  const bits: Bit[] = [];
  let from = 0;
  for (const found of source.matchAll(/\{([a-z]+)(?::([^{}\s]*))?\}/g)) {
    // {be, ef}: braces around hex digits are what people copy out of programs.
    if (/^[0-9a-f]+$/.test(found[1] ?? "") && found[2] === undefined) continue;
    const before = parseHex(source.slice(from, found.index));
    if (isMistake(before)) return { error: before.error, at: from + before.at };
    const macro = macroOf(found[1] ?? "", found[2]);
    if (typeof macro === "string") return { error: macro, at: found.index };
    bits.push({ bytes: before.value }, macro);
    from = found.index + found[0].length;
  }
  const rest = parseHex(source.slice(from));
  if (isMistake(rest)) return { error: rest.error, at: from + rest.at };
  bits.push({ bytes: rest.value });
  return { value: bits };
}

// Pieces of known bytes that stand side by side are one.
function joined(bits: Bit[]): Bit[] {
  const whole: Bit[] = [];
  let run: Uint8Array[] = [];
  const flush = (): void => {
    const bytes = concat(run);
    if (bytes.length) whole.push({ bytes });
    run = [];
  };
  for (const bit of bits) {
    if ("bytes" in bit) run.push(bit.bytes);
    else {
      flush();
      whole.push(bit);
    }
  }
  flush();
  return whole;
}

// All but the checksum, which needs to know first what the macros will be.
export function parse(draft: Draft): Parsed<Bit[]> {
  // A text area has \n between its lines; a file of saved messages may have others.
  const content = draft.content.replace(/\r\n?/g, "\n");
  const bits = draft.mode === "hex" ? parseHexBits(content) : parseText(content, draft.end);
  if (isMistake(bits)) return bits;
  if (draft.mode === "text" && draft.end) bits.value.push({ bytes: encoder.encode(draft.end) });
  return { value: joined(bits.value) };
}

// ---- what is sent

export const isStatic = (bits: Bit[]): boolean => bits.every((bit) => "bytes" in bit);

export function macroName(bit: Macro): string {
  if ("counter" in bit) return bit.counter === 1 ? "{n}" : `{n:${bit.counter}}`;
  if ("random" in bit) return `{rand:${bit.random}}`;
  return { iso: "{time}", unix: "{unix}", unix_ms: "{ms}" }[bit.time];
}

// What a macro is for the message that is sent after `nth` others.
function fillOne(bit: Macro, nth: number, now: Date): Uint8Array {
  if ("random" in bit) return crypto.getRandomValues(new Uint8Array(bit.random));
  if ("counter" in bit) return encoder.encode(String(bit.counter + nth));
  // As sonde writes it: six digits of a second.
  const text = { iso: now.toISOString().replace("Z", "000Z"), unix: String(Math.floor(now.getTime() / 1000)), unix_ms: String(now.getTime()) };
  return encoder.encode(text[bit.time]);
}

export function fill(bits: Bit[], nth: number, now: Date): Uint8Array {
  return concat(bits.map((bit) => ("bytes" in bit ? bit.bytes : fillOne(bit, nth, now))));
}

// With its checksum. Macros before a checksum must be filled in first: only then is it known what it is over.
export function withChecksum(bits: Bit[], draft: Draft): Parsed<Bit[]> {
  if (draft.sum === "none") return { value: bits };
  const macro = bits.find((bit): bit is Macro => !("bytes" in bit));
  if (macro) return { error: `a checksum can't be repeated over ${macroName(macro)}, which changes each time`, at: 0 };
  const bytes = fill(bits, 0, new Date(0));
  return { value: [{ bytes: concat([bytes, checksum(draft.sum, bytes, draft.order)]) }] };
}

// For the feed. `nth`: so many were sent of it before, and its counters go on from there.
export function toParts(bits: Bit[], nth: number): Part[] {
  return bits.map((bit) => {
    if ("bytes" in bit) return { data: toBase64(bit.bytes) };
    return "counter" in bit ? { counter: bit.counter + nth } : bit;
  });
}

// May it be a text message of WebSocket? That is UTF-8, each time.
export function isText(bits: Bit[]): boolean {
  return bits.every((bit) => ("bytes" in bit ? isUtf8(bit.bytes) : !("random" in bit)));
}

// The other way: bytes as they would have to be typed.
export function toSource(bytes: Uint8Array): string {
  return pieces(bytes).map(({ text, escape, n }) => {
    if (escape) return text;
    return n ? text.replace(/\\/g, "\\\\").replace(/\{(?=[a-z{])/g, "{{") : "";
  }).join("");
}

// Where a mistake is, for people: "line 2, character 5" where there are lines.
export function placeOf(source: string, at: number): string {
  const before = source.slice(0, at).split("\n");
  const column = Array.from(before[before.length - 1] ?? "").length + 1;
  return source.includes("\n") ? `line ${before.length}, character ${column}` : `character ${column}`;
}
