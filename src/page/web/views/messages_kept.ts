// SPDX-License-Identifier: MIT
// The messages of the opened row that this page keeps: so many and no more, and what went is counted.
import { find, fromBase64, isMistake, parseHex } from "../bytes";
import { count } from "../dom";
import type { Message, Messages } from "../types";

export interface Said { kind: "message"; order: number; message: Message; bytes: Uint8Array }
export interface Note { kind: "note"; order: number; text: string }
export type Entry = Said | Note;

export const bytesOf = (n: number): string => (n === 1 ? "1 byte" : `${count(n)} bytes`);

export class Kept {
  entries: Entry[] = [];
  forgotten = 0;        // messages that this page has dropped to stay within its bounds
  #order = 0;
  #bytes = 0;
  #most: { messages: number; bytes: number };

  constructor(most = { messages: 5000, bytes: 16 << 20 }) {
    this.#most = most;
  }

  add(news: Messages): void {
    if (news.lost > 0) {
      const what = news.lost === 1 ? "1 message is" : `${count(news.lost)} messages are`;
      this.note(`${what} missing here (${bytesOf(news.lost_bytes)}): more came than sonde keeps of one connection.`);
    }
    for (const message of news.messages) {
      const bytes = fromBase64(message.data);
      this.#bytes += bytes.length;
      this.entries.push({ kind: "message", order: this.#order++, message, bytes });
    }
    this.#bound();
  }

  note(text: string): void {
    this.entries.push({ kind: "note", order: this.#order++, text });
  }

  clear(): void {
    this.entries = [];
    this.forgotten = 0;
    this.#bytes = 0;
  }

  #bound(): void {
    let drop = 0;
    while (this.entries.length - drop > this.#most.messages || this.#bytes > this.#most.bytes) {
      const entry = this.entries[drop++];
      if (!entry) break;
      if (entry.kind !== "message") continue;
      this.#bytes -= entry.bytes.length;
      this.forgotten++;
    }
    if (drop) this.entries.splice(0, drop);
  }
}

// ---- search

export type Needle = { bytes: Uint8Array; ignoresCase: boolean };

const lower = (byte: number): number => (byte >= 65 && byte <= 90 ? byte + 32 : byte);

// Text is found in either case (ASCII's, which needs no guess at what the bytes are). Null: there is nothing to find.
export function needleOf(text: string, isHex: boolean): Needle | { error: string } | null {
  if (!text.trim()) return null;
  if (!isHex) return { bytes: new TextEncoder().encode(text).map(lower), ignoresCase: true };
  const parsed = parseHex(text);
  if (isMistake(parsed)) return { error: parsed.error };
  return parsed.value.length ? { bytes: parsed.value, ignoresCase: false } : null;
}

// Where it is, at most `most` times.
export function findAll(bytes: Uint8Array, needle: Needle, most: number): number[] {
  const hay = needle.ignoresCase ? bytes.map(lower) : bytes;
  const places: number[] = [];
  for (let at = find(hay, needle.bytes); at >= 0 && places.length < most; at = find(hay, needle.bytes, at + needle.bytes.length))
    places.push(at);
  return places;
}

export const matches = (entry: Entry, needle: Needle): boolean =>
  entry.kind === "message" && findAll(entry.bytes, needle, 1).length > 0;
