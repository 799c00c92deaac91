// SPDX-License-Identifier: MIT
// What was searched for, marked where it stands: by the browser (CSS Custom Highlight), with no change to the document.
import { dumpPlaces, spanOf } from "./messages_entry";
import { findAll } from "./messages_kept";
import type { Entry, Needle } from "./messages_kept";

const RANGES_MAX = 2000;
const OF_ONE_MAX = 20;

function add(ranges: Range[], node: Node, from: number, to: number): void {
  const length = (node.nodeValue ?? "").length;
  if (from >= length) return;
  const range = new Range();
  range.setStart(node, from);
  range.setEnd(node, Math.min(length, to));
  ranges.push(range);
}

function markDump(dump: Node, at: number, n: number, width: number, ranges: Range[]): void {
  for (let byte = at; byte < at + n; byte++) {
    const [digits, character] = dumpPlaces(byte, width);
    add(ranges, dump, digits, digits + 2);
    add(ranges, dump, character, character + 1);
  }
}

function markText(item: Element, at: number, n: number, ranges: Range[]): void {
  for (const block of item.querySelectorAll(".txt, .txt i"))
    for (const node of block.childNodes) {
      const span = spanOf(node);
      // Where characters have more bytes than one there is no simple way from one to the other: ASCII is marked.
      if (!span || span.escape || span.n !== (node.nodeValue ?? "").length) continue;
      const from = Math.max(at, span.at), to = Math.min(at + n, span.at + span.n);
      if (to > from) add(ranges, node, from - span.at, to - span.at);
    }
}

export function markFound(items: Map<Element, Entry>, needle: Needle | null, width: number): void {
  if (!("highlights" in CSS)) return;
  if (!needle) return void CSS.highlights.delete("found");
  const ranges: Range[] = [];
  for (const [item, entry] of items) {
    if (ranges.length > RANGES_MAX || entry.kind !== "message") continue;
    const dump = item.querySelector(".hex")?.firstChild;
    for (const at of findAll(entry.bytes, needle, OF_ONE_MAX)) {
      if (dump) markDump(dump, at, needle.bytes.length, width, ranges);
      markText(item, at, needle.bytes.length, ranges);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
