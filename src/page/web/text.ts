// SPDX-License-Identifier: MIT
// Names that others chose (addresses of UNIX sockets, owners, sentences that quote them): what would not be seen, or
// would change how the rest is read, is written as an escape, in another colour.
import { el, setText } from "./dom";

// Controls, formats (bidi among them), unassigned and private ones; spaces but the usual one.
const unseen = /[\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u034f\u115f\u1160\u2800\u3164\uffa0]/u;
const unseenEach = new RegExp(unseen.source, "gu");

function escapeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

// For attributes, and where there is no room for colour.
export function plain(text: string): string {
  return unseen.test(text) ? text.replace(unseenEach, escapeOf) : text;
}

function pieces(text: string): Node[] {
  const nodes: Node[] = [];
  let from = 0;
  for (const found of text.matchAll(unseenEach)) {
    if (found.index > from) nodes.push(document.createTextNode(text.slice(from, found.index)));
    nodes.push(el("span", { class: "esc" }, escapeOf(found[0])));
    from = found.index + found[0].length;
  }
  if (from < text.length) nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}

// As setText of dom.ts.
export function setName(element: Element, text: string): void {
  if (!unseen.test(text)) setText(element, text);
  else if (element.textContent !== plain(text)) element.replaceChildren(...pieces(text));
}

// Letters that are read from right to left stay within it.
export function name(text: string, className?: string): HTMLElement {
  const element = el("bdi", { class: className });
  setName(element, text);
  return element;
}

// "What. The rest." The first sentence says what is the matter, and is drawn so.
export function splitSentence(text: string): [string, string] {
  const end = /[.!?] (?=\S)/.exec(text);
  return end ? [text.slice(0, end.index + 1), text.slice(end.index + 1)] : [text, ""];
}

// "9.4 s", "41 s", "2 m 10 s", "3 h 12 m", "2 d 4 h": for ages, which are looked at while they grow.
export function age(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < 10) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} m ${s % 60} s`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

// 10200 us: "10.2", in ms.
export function milliseconds(us: number): string {
  const ms = us / 1000;
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}
