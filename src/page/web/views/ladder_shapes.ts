// SPDX-License-Identifier: MIT
// What a ladder is made of once it has been laid out: items in the order in which they are painted. An item has its own
// height, so that it can be kept where only its place has changed.
import type { Piece } from "./ladder_text";

export interface Shape { tag: "path" | "rect" | "text"; attributes: Record<string, string | number>; pieces?: Piece[] }
export interface Item {
  key: string; y: number; shapes: Shape[];
  end?: number;      // how far down it reaches; none: about as far as a text
  cls?: string;
  segment?: number;  // can be chosen, for its layers
  words?: string;    // for those who do not see it
}
// Where the items of one mark are, from y to its end, and what makes them: what nobody sees is not made.
export interface Slot { keys: string[]; y: number; end: number; items(): Item[]; isDrawn?: boolean }
export interface Plan { width: number; height: number; slots: Slot[]; head: Item[]; words: string }
export interface Picture { width: number; height: number; items: Item[]; head: Item[]; words: string }

const short = (n: number): number => Math.round(n * 10) / 10;

// Pieces that look alike become one: each is an element.
function joined(pieces: Piece[]): Piece[] {
  const all: Piece[] = [];
  for (const piece of pieces) {
    const last = all[all.length - 1];
    if (last && last.cls === piece.cls) all[all.length - 1] = { ...last, text: last.text + piece.text };
    else all.push(piece);
  }
  return all;
}

export const text = (cls: string, x: number, y: number, pieces: Piece[], more: Record<string, string | number> = {}): Shape =>
  ({ tag: "text", attributes: { class: cls, x: short(x), y: short(y), ...more }, pieces: joined(pieces) });
export const path = (cls: string, d: string, more: Record<string, string | number> = {}): Shape =>
  ({ tag: "path", attributes: { class: cls, d, ...more } });
export const rect = (cls: string, x: number, y: number, width: number, height: number): Shape =>
  ({ tag: "rect", attributes: { class: cls, x: short(x), y: short(y), width: short(width), height: short(height) } });
export const line = (cls: string, x1: number, y1: number, x2: number, y2: number, more: Record<string, string | number> = {}): Shape =>
  path(cls, `M${short(x1)},${short(y1)} L${short(x2)},${short(y2)}`, more);
// Text that slopes with the line it stands on, about that line's middle.
export const sloped = (degrees: number, x: number, y: number): Record<string, string> =>
  (degrees === 0 ? {} : { transform: `rotate(${short(degrees)} ${short(x)} ${short(y)})` });
export { short };
