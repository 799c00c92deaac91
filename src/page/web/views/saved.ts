// SPDX-License-Identifier: MIT
// What this page remembers in this browser: how it is set, and the messages that a person has saved.
//
// A browser may refuse (private windows, full, forbidden). What is saved then lasts as long as the page, and that is
// said. What can't be read (another version, a damaged store) is put aside under another name, not written over.
import type { Draft } from "./send_parse";

export type Storage_ = Pick<Storage, "getItem" | "setItem">;

const PREFIX = "sonde.";

// Even to ask for it may be forbidden.
function storage(): Storage_ | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

export function recall(name: string, from: Storage_ | null = storage()): string | null {
  try {
    return from?.getItem(PREFIX + name) ?? null;
  } catch {
    return null;
  }
}

// False: the browser refused.
export function remember(name: string, value: string, to: Storage_ | null = storage()): boolean {
  try {
    to?.setItem(PREFIX + name, value);
    return to !== null;
  } catch {
    return false;
  }
}

// ---- saved messages

export type SavedMode = Draft["mode"] | "steps";
export interface SavedMessage extends Omit<Draft, "mode"> { name: string; mode: SavedMode; every_ms: number; count: number }

export const NAME_MAX = 80;
const CONTENT_MAX = 1 << 20;
const SAVED_MAX = 1000;
const SAVED = "saved";

export const examples: SavedMessage[] = [
  { name: "PING with counter and time", mode: "text", content: "PING {n} {time}", end: "\r\n", sum: "none", order: "big", every_ms: 0, count: 0 },
  { name: "Modbus RTU: read 4 registers", mode: "hex", content: "01 03 00 00 00 04", end: "", sum: "modbus", order: "little", every_ms: 0, count: 0 },
  { name: "HTTP request", mode: "text", content: "GET / HTTP/1.1\nHost: localhost\n", end: "\r\n", sum: "none", order: "big", every_ms: 0, count: 0 },
  { name: "Two PINGs, each answered", mode: "steps", content: "PING with counter and time\nanswer 2000\nwait 500\nPING with counter and time\nanswer 2000",
    end: "", sum: "none", order: "big", every_ms: 0, count: 0 },
];

function oneOf<T extends string>(value: unknown, among: readonly T[], otherwise: T): T {
  return among.find((one) => one === value) ?? otherwise;
}

const whole = (value: unknown, most: number): number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most ? value : 0;

// One message out of a file or store that may have anything in it; null: it is none.
export function asSaved(given: unknown): SavedMessage | null {
  if (typeof given !== "object" || given === null) return null;
  const { name, content, mode, end, sum, order, every_ms, count } = given as Record<string, unknown>;
  if (typeof name !== "string" || !name.trim() || typeof content !== "string" || content.length > CONTENT_MAX) return null;
  return {
    name: name.trim().slice(0, NAME_MAX), content,
    mode: oneOf(mode, ["text", "hex", "steps"], "text"), end: oneOf(end, ["", "\n", "\r\n"], ""),
    sum: oneOf(sum, ["none", "sum8", "xor", "modbus", "ccitt", "crc32"], "none"), order: oneOf(order, ["big", "little"], "big"),
    every_ms: whole(every_ms, 3_600_000), count: whole(count, 1_000_000_000),
  };
}

export interface Read { messages: SavedMessage[]; passedOver: number }

// What export wrote, or a bare list of messages. Null: neither.
export function read(text: string): Read | null {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return null;
  }
  const list = Array.isArray(given) ? given : (given as { messages?: unknown } | null)?.messages;
  if (!Array.isArray(list)) return null;
  const messages = list.slice(0, SAVED_MAX).map(asSaved).filter((message) => message !== null);
  return { messages, passedOver: list.length - messages.length };
}

export class Saved {
  messages: SavedMessage[] = [];
  // What a person should know of it, once.
  trouble: string | null = null;
  #storage: Storage_ | null;

  constructor(given: Storage_ | null = storage()) {
    this.#storage = given;
    this.load();
  }

  load(): void {
    const text = recall(SAVED, this.#storage);
    if (text === null) {
      this.messages = [...examples];
      return;
    }
    const found = read(text);
    this.messages = found?.messages ?? [...examples];
    if (found && !found.passedOver) return;
    const isAside = remember(`${SAVED}.unreadable`, text, this.#storage);
    this.trouble = (found ? `${found.passedOver} of the saved messages can't be read.` : "The saved messages can't be read.")
      + (isAside ? " They were put aside in this browser's store, as sonde.saved.unreadable." : "");
  }

  find(name: string): SavedMessage | undefined {
    return this.messages.find((message) => message.name === name);
  }

  // In place of what had this name. False: it lasts only as long as this page.
  put(message: SavedMessage): boolean {
    const at = this.messages.findIndex((other) => other.name === message.name);
    if (at >= 0) this.messages[at] = message;
    else this.messages.push(message);
    return this.#write();
  }

  // Gives what it takes to undo it: where it stood.
  remove(name: string): { message: SavedMessage; at: number } | null {
    const at = this.messages.findIndex((message) => message.name === name);
    const message = this.messages[at];
    if (!message) return null;
    this.messages.splice(at, 1);
    this.#write();
    return { message, at };
  }

  restore({ message, at }: { message: SavedMessage; at: number }): boolean {
    this.messages.splice(at, 0, { ...message, name: this.#free(message.name) });
    return this.#write();
  }

  // Beside those that are there: one whose name is taken, and which is not the same, gets another name.
  merge(messages: SavedMessage[]): { added: number; isKept: boolean } {
    let added = 0;
    for (const message of messages) {
      const same = this.find(message.name);
      if (same && JSON.stringify(asSaved(same)) === JSON.stringify(message)) continue;
      this.messages.push({ ...message, name: this.#free(message.name) });
      added++;
    }
    return { added, isKept: this.#write() };
  }

  asFile(): string {
    return `${JSON.stringify({ sonde: "saved messages", version: 1, messages: this.messages }, null, 2)}\n`;
  }

  #free(name: string): string {
    if (!this.find(name)) return name;
    for (let n = 2; ; n++) {
      const other = `${name.slice(0, NAME_MAX - 6)} (${n})`;
      if (!this.find(other)) return other;
    }
  }

  #write(): boolean {
    return remember(SAVED, this.asFile(), this.#storage);
  }
}
