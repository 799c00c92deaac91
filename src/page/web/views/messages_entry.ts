// SPDX-License-Identifier: MIT
// One message as an item of the list, and the way back from a place in it to its byte.
import { dump, pieces, toHex } from "../bytes";
import { count, el } from "../dom";
import { bytesOf } from "./messages_kept";
import type { Entry, Said } from "./messages_kept";

export type Shape = "both" | "text" | "hex";
export interface Look { shape: Shape; width: number; origin: number; isDatagram: boolean }

const SHORT = 256;   // bytes of a message that are shown at first
const OFFSET = 6;    // "0000  "

// "0010  64 75 6d 70 ...  dump": one text node, because a page may have a hundred thousand bytes on it.
function dumpText(bytes: Uint8Array, width: number): string {
  return dump(bytes, width)
    .map((line) => `${line.at.toString(16).padStart(4, "0")}  ${toHex(line.bytes).padEnd(width * 3 - 1)}  ${line.ascii}`)
    .join("\n");
}

// The byte at an offset of dumpText's text.
export function dumpByte(offset: number, width: number, n: number): number {
  const lineLength = OFFSET + width * 3 + 1 + width + 1;
  const column = offset % lineLength - OFFSET;
  const inLine = column < 0 ? 0 : column < width * 3 ? Math.floor(column / 3) : column - width * 3 - 1;
  return Math.min(n - 1, Math.floor(offset / lineLength) * width + Math.max(0, Math.min(width - 1, inLine)));
}

// Where a byte's digits and its character begin in dumpText's text.
export function dumpPlaces(byte: number, width: number): [number, number] {
  const line = Math.floor(byte / width) * (OFFSET + width * 3 + 1 + width + 1) + OFFSET;
  return [line + (byte % width) * 3, line + width * 3 + 1 + (byte % width)];
}

// Which of its bytes a text node stands for.
export interface Span { at: number; n: number; escape: boolean }
const spans = new WeakMap<Node, Span>();
export const spanOf = (node: Node): Span | undefined => spans.get(node);

function textBlock(bytes: Uint8Array): HTMLElement {
  const block = el("pre", { class: "txt" });
  for (const piece of pieces(bytes)) {
    const text = document.createTextNode(piece.text);
    spans.set(text, piece);
    if (!piece.escape) block.append(text);
    else {
      const mark = el("i");
      mark.append(text);
      block.append(mark);
    }
  }
  return block;
}

function kindOf({ message }: Said, look: Look): string {
  if (!message.message) return "";
  if (look.isDatagram) return "datagram";
  return message.text ? "text message" : "binary message";
}

function head(said: Said, look: Look): HTMLElement {
  const { message } = said;
  const kind = kindOf(said, look);
  return el("p", null,
    el("b", null, el("span", { "aria-hidden": "true" }, message.way === "in" ? "← " : "→ "),
      el("span", { class: "vh" }, message.way === "in" ? "received " : "sent "), bytesOf(message.bytes)),
    " ", el("time", { "data-t": message.t_ns }, timeOf(message.t_ns, look.origin)),
    kind && " ", kind && el("span", { class: "mark" }, kind),
    message.by === "page" && " ", message.by === "page" && el("span", { class: "mark page" }, "from a page"));
}

export function timeOf(t_ns: number, origin: number): string {
  const seconds = (t_ns - origin) / 1e9;
  return `${seconds.toFixed(Math.abs(seconds) < 100 ? 4 : 3)} s`;
}

function body(said: Said, look: Look, all: boolean): Node[] {
  const { message, bytes } = said;
  const some = all ? bytes : bytes.subarray(0, SHORT);
  const blocks: Node[] = [];
  if (bytes.length && look.shape !== "hex") blocks.push(textBlock(some));
  if (bytes.length && look.shape !== "text") blocks.push(el("pre", { class: "hex" }, dumpText(some, look.width)));
  if (some.length < bytes.length)
    blocks.push(el("button", { type: "button", class: "more", "data-more": "" }, `Show ${count(bytes.length - some.length)} more bytes`));
  const gone = message.bytes - bytes.length;
  if (gone > 0)
    blocks.push(el("p", { class: "gone" }, gone === 1 ? "1 more byte was not kept" : `${count(gone)} more bytes were not kept`));
  return blocks;
}

// A list item. It can take the focus, but is not a stop of the Tab key: arrow keys move within the list.
export function makeItem(entry: Entry, look: Look): HTMLLIElement {
  if (entry.kind === "note") return el("li", { class: "sys", tabindex: -1 }, el("p", null, entry.text));
  const item = el("li", { class: entry.message.way, tabindex: -1 }, head(entry, look), ...body(entry, look, false));
  return item;
}

export function showAll(item: HTMLLIElement, said: Said, look: Look): void {
  item.replaceChildren(head(said, look), ...body(said, look, true));
}

// The byte that a place in an item (as selections have it) stands for; null: it stands for none.
export function byteAt(node: Node, offset: number, said: Said, look: Look): number | null {
  const span = spans.get(node);
  if (span) {
    if (span.escape) return offset * 2 < (node.nodeValue ?? "").length ? span.at : span.at + span.n;
    return span.at + (span.n ? new TextEncoder().encode((node.nodeValue ?? "").slice(0, offset)).length : 0);
  }
  const isDump = node.parentElement?.classList.contains("hex") && said.bytes.length > 0;
  return isDump ? dumpByte(offset, look.width, said.bytes.length) : null;
}
