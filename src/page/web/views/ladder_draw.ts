// SPDX-License-Identifier: MIT
// Shapes to elements. What is the same as before stays the same element, so that the focus stays too; only what is new
// is made, and only what has moved is moved.
import { el, svg } from "../dom";
import type { Line } from "./ladder_list";
import type { Item, Shape, Slot } from "./ladder_shapes";
import type { Work } from "./ladder_slices";
import type { Piece } from "./ladder_text";

interface Drawn { node: SVGGElement | HTMLLIElement; signature: string; y: number }

export function pieceNodes(pieces: Piece[]): Node[] {
  return pieces.map((piece) => (piece.cls ? svg("tspan", { class: piece.cls }, piece.text) : document.createTextNode(piece.text)));
}

function shapeNode(shape: Shape): SVGElement {
  const node = svg(shape.tag, shape.attributes);
  if (shape.pieces) node.append(...pieceNodes(shape.pieces));
  return node;
}

function itemNode(item: Item): SVGGElement {
  const node = svg("g", { transform: `translate(0,${Math.round(item.y * 10) / 10})` });
  if (item.cls) node.setAttribute("class", item.cls);
  if (item.segment !== undefined) {
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", "-1");
    node.setAttribute("aria-pressed", "false");
    node.setAttribute("aria-label", item.words ?? "");
    node.dataset.segment = String(item.segment);
  }
  node.append(...item.shapes.map(shapeNode));
  return node;
}

function lineNode(line: Line): HTMLLIElement {
  const pieces = line.pieces.map((piece) => (piece.cls ? el("span", { class: piece.cls }, piece.text) : document.createTextNode(piece.text)));
  const words = line.segment === undefined ? el("span", { class: `ev ${line.cls ?? ""}` }, ...pieces)
    : el("button", { type: "button", class: `ev seg ${line.cls ?? ""}`, tabindex: -1, "aria-pressed": "false", "aria-label": line.words,
      "data-segment": line.segment }, ...pieces);
  return el("li", null, el("span", { class: "time mute" }, line.time), words,
    ...line.notes.map((note) => el("span", { class: "note mute" }, `└ ${note}`)));
}

export interface Part { top: number; bottom: number }

const reaches = (slot: Slot, part: Part): boolean => slot.y <= part.bottom && slot.end >= part.top;

// The children of one element, by key.
export class Keyed {
  private drawn = new Map<string, Drawn>();
  constructor(private readonly parent: Element) {}

  items(items: Item[]): void {
    this.place(items, (item) => JSON.stringify([item.cls, item.words, item.shapes]), itemNode, (node, item, y) => {
      if (y !== item.y) move(node, item.y);
      return item.y;
    });
  }

  lines(lines: Line[]): void {
    this.place(lines, (line) => JSON.stringify(line), lineNode, () => 0);
  }

  // Of a picture, what is in the part that is to be seen. It is made in slices, beside the document, and comes into it at
  // once, at the last. What else is drawn already stays if it stands where it stood, and not too far away; else it goes.
  *part(slots: Slot[], part: Part, far: Part): Work {
    const kept = new Map<string, Drawn>(), replaced: [Drawn, Drawn][] = [], moved: Drawn[] = [], made: Slot[] = [];
    for (const slot of slots) {
      const isSeen = reaches(slot, part);
      if (slot.isDrawn || (!isSeen && !this.hasFocus(slot))) {
        if (!isSeen && !reaches(slot, far) && !this.hasFocus(slot)) {
          slot.isDrawn = false;
          continue;
        }
        for (const key of slot.keys) {
          const drawn = this.drawn.get(key);
          if (drawn?.y === slot.y) kept.set(key, drawn);
        }
        continue;
      }
      for (const item of slot.items()) this.renew(item, kept, replaced, moved);
      made.push(slot);
      yield;
    }
    if (made.length > 0) yield "frame";
    for (const slot of made) slot.isDrawn = true;
    for (const drawn of moved) move(drawn.node, drawn.y);
    for (const [old, drawn] of replaced) replace(old.node, drawn.node, null);
    for (const [key, { node }] of this.drawn) if (!kept.has(key)) node.remove();
    this.drawn = kept;
    this.order(slots);
  }

  private hasFocus(slot: Slot): boolean {
    const focused = document.activeElement;
    return focused !== null && slot.keys.some((key) => this.drawn.get(key)?.node === focused);
  }

  private renew(item: Item, kept: Map<string, Drawn>, replaced: [Drawn, Drawn][], moved: Drawn[]): void {
    const signature = JSON.stringify([item.cls, item.words, item.shapes]), old = this.drawn.get(item.key);
    const drawn = { node: old?.signature === signature ? old.node : itemNode(item), signature, y: item.y };
    if (old && old.node !== drawn.node) replaced.push([old, drawn]);
    else if (old && old.y !== drawn.y) moved.push(drawn);
    kept.set(item.key, drawn);
  }

  private order(slots: Slot[]): void {
    let cursor = this.parent.firstChild;
    for (const slot of slots)
      for (const key of slot.keys) {
        const node = this.drawn.get(key)?.node;
        if (!node) continue;
        if (cursor === node) cursor = cursor.nextSibling;
        else this.parent.insertBefore(node, cursor);
      }
  }

  private place<T extends { key: string }>(things: T[], sign: (thing: T) => string, make: (thing: T) => Drawn["node"],
      move: (node: Drawn["node"], thing: T, y: number) => number): void {
    const kept = new Map<string, Drawn>();
    let cursor = this.parent.firstChild;
    for (const thing of things) {
      const signature = sign(thing);
      let drawn = this.drawn.get(thing.key);
      if (drawn && drawn.signature !== signature) {
        const node = make(thing);
        replace(drawn.node, node, cursor === drawn.node ? () => { cursor = node; } : null);
        drawn = { node, signature, y: "y" in thing ? thing.y as number : 0 };
      } else if (drawn) drawn.y = move(drawn.node, thing, drawn.y);
      else drawn = { node: make(thing), signature, y: "y" in thing ? thing.y as number : 0 };
      this.drawn.delete(thing.key);
      kept.set(thing.key, drawn);
      if (cursor === drawn.node) cursor = cursor.nextSibling;
      else this.parent.insertBefore(drawn.node, cursor);
    }
    for (const { node } of this.drawn.values()) node.remove();
    this.drawn = kept;
  }
}

function move(node: Drawn["node"], y: number): void {
  node.setAttribute("transform", `translate(0,${Math.round(y * 10) / 10})`);
}

// With the focus, which the new one takes over.
function replace(old: Element, node: SVGGElement | HTMLLIElement, moved: (() => void) | null): void {
  const focused = old.contains(document.activeElement) || old === document.activeElement;
  old.replaceWith(node);
  moved?.();
  if (!focused) return;
  const target = node.matches("[data-segment]") ? node : node.querySelector<HTMLElement>("[data-segment]");
  (target as SVGElement | HTMLElement | null)?.focus({ preventScroll: true });
}

// Arrow heads, in the colours of their lines.
export function markers(): SVGDefsElement {
  const head = (id: string, cls: string): SVGMarkerElement =>
    svg("marker", { id, viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto",
      markerUnits: "userSpaceOnUse" }, svg("path", { class: cls, d: "M0,.8 8,4 0,7.2z" }));
  return svg("defs", null, head("lad-ink", "head-ink"), head("lad-red", "head-red"));
}
