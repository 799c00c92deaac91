// SPDX-License-Identifier: MIT
// What is neither call nor segment: handshakes and messages beside the end that says so, ICMP from outside, and what is
// missing.
import type { HandshakeEvent, IcmpEvent } from "./ladder_events";
import { lifeX, toward, type Drawing } from "./ladder_layout";
import type { Mark } from "./ladder_marks";
import { lossText } from "./ladder_notes";
import { cut, foreignText, handshakeText, icmpText, messagesText, plain, type Messages, type Piece } from "./ladder_text";
import { line, text, type Item } from "./ladder_shapes";

const INSIDE = 10, CHARACTER = 6.7;

const room = (drawing: Drawing): number => Math.floor((drawing.columns.b - drawing.columns.a - 2 * INSIDE) / CHARACTER);
const middle = (drawing: Drawing): number => (drawing.columns.a + drawing.columns.b) / 2;

export function icmpItem(drawing: Drawing, event: IcmpEvent, item: Item): Item {
  const way = toward(event.to), x = lifeX(drawing.columns, event.to) + way * 5, words = foreignText(icmpText(event));
  return { ...item, shapes: [...item.shapes, line("lost", x, 0, x + way * 30, 0),
    text(`mono tr halo${event.to === "a" ? "" : " end"}`, x + way * 35, 4, cut(words, room(drawing) - 6))] };
}

// below: what was agreed on, where it has no room beside.
export function handshakeItem(drawing: Drawing, event: HandshakeEvent, below: Piece[][], item: Item): Item {
  const agreed: Piece[] = event.agreed && below.length === 0 ? [{ text: ": " }, ...foreignText(event.agreed)] : [];
  const words = cut([...plain(handshakeText(event)), ...agreed], room(drawing));
  const cls = `mono ${event.result < 0 ? "tr" : "st-open"} halo${event.end === "a" ? "" : " end"}`;
  const x = lifeX(drawing.columns, event.end) + toward(event.end) * INSIDE, anchor = event.end === "a" ? "" : " end";
  const rows = below.map((row, i) => text(`small mute halo${anchor}`, x, 17 + i * 13, row));
  return { ...item, shapes: [...item.shapes, text(cls, x, 4, words), ...rows] };
}

// A program's own stand beside its end; those that were read off the wire in the middle, under the segment that completes
// them. The mark points to where it goes.
export function messageItem(drawing: Drawing, messages: Messages, item: Item): Item {
  const first = messages.first, fits = room(drawing);
  if (!first.end) {
    const cls = `mono mid halo ${first.kind === "malformed" ? "tr" : "mute"}`;
    return { ...item, shapes: [...item.shapes, text(cls, middle(drawing), 4, cut(messagesText(messages, fits), fits))] };
  }
  const words = cut(messagesText(messages, fits - 2), fits - 2);
  const pieces = first.from === "a" ? [...words, { text: " »" }] : [{ text: "« " }, ...words];
  const cls = `mono ${first.kind === "malformed" ? "tr" : "st-open"} halo${first.end === "a" ? "" : " end"}`;
  return { ...item, shapes: [...item.shapes, text(cls, lifeX(drawing.columns, first.end) + toward(first.end) * INSIDE, 4, pieces)] };
}

export function noteItem(drawing: Drawing, mark: Extract<Mark, { kind: "loss" | "gap" | "fold" }>, item: Item): Item {
  const words = mark.kind === "loss" ? lossText(mark.event) : mark.kind === "gap" ? `~~ ${mark.event.words} ~~` : mark.words;
  const cls = mark.kind === "fold" ? "mute mid halo" : "b mid halo";
  return { ...item, shapes: [...item.shapes, text(cls, middle(drawing), 4, cut(foreignText(words), room(drawing) + 16))] };
}
