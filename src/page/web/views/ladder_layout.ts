// SPDX-License-Identifier: MIT
// Marks to shapes. A pure function of what happened, the width and a few choices.
//
// Heights: inside a stretch of activity the scale is one and linear, so that an arrow's slope is its flight; but no mark
// comes so close to the one before that their texts would overlap. A pause is a dotted stretch, not to scale. Where no
// flight is known, arrows are level.
import { isCopy, stateClass, type End } from "./ladder_events";
import { callText, cut, foreignText, marginTime, plain, span, valuesText, type Piece } from "./ladder_text";
import { timerWords } from "./ladder_notes";
import { endName, type Mark, type Story } from "./ladder_marks";
import { arrowEnds, arrowItem, belowShapes, crossOf, drawnLabel, levelLabels, type Placed } from "./ladder_arrows";
import { line, path, rect, text, type Item, type Picture, type Plan, type Shape, type Slot } from "./ladder_shapes";
import { handshakeItem, icmpItem, messageItem, noteItem } from "./ladder_above";

export interface LayoutOptions { width: number; zoom: number; raw: boolean; flight?: number }
export interface Columns { a: number; b: number; time: number; kernel: number; width: number; room: Record<End, number> } // pixels
interface SideText { pieces: Piece[]; cls: string }
export interface Drawing {
  story: Story; marks: Placed[]; columns: Columns; options: LayoutOptions; flight: number; yEnd: number; kernelEnd: End | null;
  rtoLeast: number; at: Map<Mark, Placed>;
}

export const FLIGHT = 30;
const TOP = 22, TEXT = 14, ARROW = 17, PAUSE_MARGIN = 20, PAUSE_STEP = 30, PAUSE_MOST = 120, PAUSE_NS = 200e6;
const FLIGHTS_TO_PAUSE = 6, LEVEL_PAUSE = 40;
const BAND = 4, BRACKET = 9, SIDE = 16, TIME_APART = 13, CHARACTER = 6.7, SMALL_CHARACTER = 5.8;
const arrows = new Set(["segment", "datagram", "icmp", "loss", "gap", "fold", "handshake", "message"]);

// Narrow ladders give up the kernel's column, then the times, then room at the sides.
export function columnsFor(width: number, hasCalls: boolean, hasKernel: boolean): Columns {
  const time = width >= 460 ? width < 600 ? 52 : 62 : 0, kernel = hasKernel && width >= 820 ? 110 : 0;
  const rest = width - time - kernel;
  const sides = hasCalls ? rest * (rest < 500 ? 0.48 : 0.5) : Math.min(rest * 0.46, 210 + Math.max(0, rest - 500) * 0.3);
  const left = Math.max(90, sides * 0.45), right = Math.max(94, sides - left);
  const a = time + kernel + left, b = width - right;
  const room = { a: left - SIDE - 2, b: right - SIDE - 2 };
  return { a, b, time, kernel, width, room };
}

export const lifeX = (columns: Columns, end: End): number => columns[end];
// Towards the other end: 1 from the left, -1 from the right.
export const toward = (end: End): number => (end === "a" ? 1 : -1);

// ---- texts at the sides

const cellsIn = (pixels: number, character: number): number => Math.max(1, Math.floor(pixels / character));

function sideTexts(drawing: Drawing, mark: Mark): Record<End, SideText[]> {
  const sides: Record<End, SideText[]> = { a: [], b: [] };
  const room = { a: cellsIn(drawing.columns.room.a, CHARACTER), b: cellsIn(drawing.columns.room.b, CHARACTER) };
  const add = (end: End, cls: string, pieces: Piece[]): void => {
    const character = cls.endsWith("small") ? SMALL_CHARACTER : CHARACTER;
    if (pieces.length === 0 || sides[end].length === 4) return;
    // A state is never cut: at the least width there is room for the longest.
    sides[end].push({ cls, pieces: cls.startsWith("st-") ? pieces : cut(pieces, cellsIn(drawing.columns.room[end], character)) });
  };
  if (mark.kind === "call") {
    const event = mark.event, end = event.end;
    if (mark.part === "end" && mark.mate) {
      const result = callText(event, "end", room[end]), after = ` after ${span(mark.t - mark.mate.t)}`;
      const both = [...result, { text: after }];
      add(end, "mono", cut(both, room[end]) === both ? both : result);
    } else add(end, "mono", callText(event, mark.part === "begin" ? "begin" : "whole", room[end]));
  }
  for (const { end, state, guess } of mark.states ?? []) add(end, `st-${stateClass(state)}`, plain(`${state}${guess ? "?" : ""}`));
  if (mark.kind === "segment" && !mark.isTail) {
    const words = timerWords(mark.timer, mark.event), fits = cellsIn(drawing.columns.room[mark.event.from], SMALL_CHARACTER);
    add(mark.event.from, "tr small", plain(words.length <= fits ? words : mark.timer));
  }
  if (mark.kind === "values") {
    const inColumn = drawing.columns.kernel > 0 && mark.event.end === drawing.kernelEnd ? ["rto_us", "cwnd_segments"] : [];
    const fits = cellsIn(drawing.columns.room[mark.event.end], SMALL_CHARACTER);
    add(mark.event.end, "k small", plain(valuesText(mark.event, fits, inColumn)));
  }
  return sides;
}

// ---- heights

function leastHeight(drawing: Drawing, mark: Placed): number {
  const rows = drawing.options.zoom < 1 ? Math.max(0.75, drawing.options.zoom) : Math.sqrt(drawing.options.zoom);
  let height = Math.max(mark.sides.a.length, mark.sides.b.length) * TEXT;
  const own = mark.mark;
  if (own.kind === "segment" && own.isTail) return 4;
  if (arrows.has(own.kind)) height = Math.max(height, ARROW * rows + mark.below.length * 13);
  if (own.kind === "segment" && own.event.fate === "lost" && drawing.flight > 0) height = Math.max(height, FLIGHT * drawing.options.zoom);
  if (own.kind === "values" && height === 0 && drawing.columns.kernel > 0) height = TEXT;
  return height;
}

function isPause(drawing: Drawing, gap: number): boolean {
  return drawing.flight > 0 ? gap > FLIGHTS_TO_PAUSE * drawing.flight : gap > PAUSE_NS;
}

function pauseHeight(gap: number): number {
  const doublings = Math.max(0, Math.floor(Math.log2(Math.max(1, gap / PAUSE_NS))));
  return Math.min(PAUSE_MOST, PAUSE_STEP * (1 + doublings));
}

function scaled(drawing: Drawing, gap: number): number {
  if (gap <= 0) return 0;
  return (drawing.flight > 0 ? gap / drawing.flight * FLIGHT : gap / PAUSE_NS * LEVEL_PAUSE) * drawing.options.zoom;
}

const endOf = (mark: Mark): number => (mark.kind === "fold" ? mark.until : mark.t);

function placeMarks(drawing: Drawing): void {
  let y = TOP;
  let before: Placed | null = null;
  for (const placed of drawing.marks) {
    delete placed.pause;
    if (before) {
      const gap = placed.mark.t - endOf(before.mark), least = leastHeight(drawing, before);
      const isEarly = before.mark.t < drawing.story.connection.origin; // a call that was there before all else
      if (!isEarly && isPause(drawing, gap)) {
        const from = y + Math.max(least, PAUSE_MARGIN);
        placed.pause = { from, to: from + pauseHeight(gap), ns: gap };
        y = placed.pause.to + PAUSE_MARGIN * 3 / 4;
      } else y += Math.max(least, isEarly ? 0 : scaled(drawing, gap));
    }
    placed.y = y;
    before = placed;
  }
  drawing.yEnd = y + 24 + (before ? leastHeight(drawing, before) : 0);
  const last = before?.mark;
  if (last?.kind === "segment" && drawing.flight > 0) drawing.yEnd += FLIGHT * drawing.options.zoom;
}

// ---- what stands behind the marks

function lifeItems(drawing: Drawing, end: End): Item[] {
  const x = lifeX(drawing.columns, end), items: Item[] = [];
  const first = drawing.marks[0]?.before ?? drawing.story.first;
  const hasStates = drawing.story.connection.protocol === "tcp";
  let state = first[end], y = 0;
  const stretch = (to: number): void => {
    if (to <= y) return;
    const known = hasStates ? stateClass(state) : "none", shapes: Shape[] = [];
    if (known !== "none") shapes.push(rect(`band-${known}`, x - BAND, 0, 2 * BAND, to - y));
    shapes.push(line(state === "unknown" && hasStates ? "life dot" : "life", x, 0, x, to - y));
    items.push({ key: `life-${end}-${items.length}`, y, end: to, shapes });
  };
  for (const placed of drawing.marks) {
    if (placed.pause) {
      const { from, to } = placed.pause;
      stretch(from);
      items.push({ key: `life-${end}-${items.length}`, y: from, end: to, shapes: [line("life dot", x, 2, x, to - from - 1)] });
      y = to;
    }
    if (placed.mark.now[end] !== state) {
      stretch(placed.y);
      y = placed.y;
      state = placed.mark.now[end];
    }
  }
  stretch(drawing.yEnd);
  return items;
}

function pauseItems(drawing: Drawing): Item[] {
  const { a, b } = drawing.columns, items: Item[] = [];
  for (const { mark, pause } of drawing.marks) {
    if (!pause) continue;
    // Right of the middle: links from a cross to its copy pass at the left.
    const words = plain(b - a > 240 ? `${span(pause.ns)} of silence` : span(pause.ns));
    items.push({ key: `pause${mark.kind}${mark.at}`, y: pause.from,
      shapes: [text("mute mid halo", a + (b - a) * 0.7, (pause.to - pause.from) / 2 + 4, words)] });
  }
  return items;
}

function bracketItem(drawing: Drawing, end: End, key: string, from: number, to: number): Item {
  const outward = -toward(end), x = lifeX(drawing.columns, end) + outward * BRACKET;
  const d = `M${Math.round(x + outward * 4)},0 h${-outward * 4} V${Math.round(to - from)} h${outward * 4}`;
  return { key, y: from, end: to, shapes: [path("call", d)] };
}

function callItems(drawing: Drawing): Item[] {
  const items: Item[] = [];
  for (const { mark, y } of drawing.marks) {
    if (mark.kind !== "call") continue;
    const mate = mark.mate ? drawing.at.get(mark.mate) : undefined, key = `call${mark.at}`, end = mark.event.end;
    if (mark.part === "whole") items.push(bracketItem(drawing, end, key, y - 2, y + 2));
    else if (mark.part === "end") items.push(bracketItem(drawing, end, key, mate?.y ?? 0, y));
    else if (!mate) items.push(bracketItem(drawing, end, key, y, drawing.yEnd));
  }
  return items;
}

// The next copy of the same bytes: where the link from the cross leads.
function linkItems(drawing: Drawing): Item[] {
  const items: Item[] = [];
  drawing.marks.forEach((placed, i) => {
    const mark = placed.mark, cross = crossOf(drawing, placed);
    if (!cross || mark.kind !== "segment") return;
    const event = mark.event, first = isCopy(event) && event.again_of ? event.again_of : event.number;
    const copy = drawing.marks.slice(i + 1, i + 1024)
      .find(({ mark: each }) => each.kind === "segment" && isCopy(each.event) && each.event.again_of === first);
    if (!copy) return;
    const aside = 8 * toward(event.from), x = lifeX(drawing.columns, event.from);
    items.push({ key: `link${mark.at}`, y: 0, end: copy.y, shapes: [line("link", cross.x - aside, cross.y + 4, x + aside * 1.1, copy.y - 3)] });
  });
  return items;
}

// RTO as a step line (log2), cwnd a number at each change: of the end whose kernel is asked. An item for each change, so
// that one more leaves the others as they are.
function kernelItems(drawing: Drawing): Item[] {
  const { time, kernel } = drawing.columns, items: Item[] = [];
  if (kernel === 0) return items;
  let x = -1, y = 0;
  const stepX = (rto: number): number => time + 12 + Math.min(3, Math.max(0, Math.floor(Math.log2(rto / drawing.rtoLeast)))) * 20;
  for (const placed of drawing.marks) {
    const mark = placed.mark;
    if (mark.kind !== "values" || mark.event.end !== drawing.kernelEnd) continue;
    const changed = mark.event.changed ?? [], rto = mark.event.rto_us, cwnd = mark.event.cwnd_segments, shapes: Shape[] = [];
    if (changed.includes("cwnd_segments") && typeof cwnd === "number")
      shapes.push(text("mono k end", time + kernel - 8, 4, plain(String(cwnd))));
    const key = `kernel${mark.at}`;
    if (changed.includes("rto_us") && typeof rto === "number" && rto > 0) {
      const next = stepX(rto);
      if (x >= 0) items.push({ key: `${key}step`, y, end: placed.y, shapes: [path("kl", `M${x},0 V${Math.round(placed.y - y)} H${next}`)] });
      shapes.push(text("mono k halo", next + 5, 12, plain(String(Math.round(rto / 100) / 10))));
      x = next;
      y = placed.y;
    }
    if (shapes.length > 0) items.push({ key, y: placed.y, shapes });
  }
  const long: Shape[] = x >= 0 ? [path("kl", `M${x},${Math.round(y)} V${Math.round(drawing.yEnd)}`)] : [];
  for (const hair of [time, time + kernel]) long.push(line("hair", hair + 0.5, 0, hair + 0.5, drawing.yEnd));
  items.push({ key: "kernel", y: 0, end: drawing.yEnd, shapes: long });
  return items;
}

function timeItems(drawing: Drawing): Item[] {
  const items: Item[] = [];
  let last = -TIME_APART;
  if (drawing.columns.time === 0) return items;
  for (const { mark, y } of drawing.marks) {
    if (mark.kind === "values" || mark.kind === "gap" || y - last < TIME_APART || (mark.kind === "segment" && mark.isTail)) continue;
    items.push({ key: `time${mark.kind}${mark.at}`, y,
      shapes: [text("mono mute", 2, 4, plain(marginTime(mark.t - drawing.story.connection.origin)))] });
    last = y;
  }
  return items;
}

// ---- the marks

function sideShapes(drawing: Drawing, placed: Placed): Shape[] {
  const shapes: Shape[] = [];
  for (const end of ["a", "b"] as const)
    placed.sides[end].forEach(({ cls, pieces }, i) => {
      const x = lifeX(drawing.columns, end) - toward(end) * SIDE;
      shapes.push(text(`${cls} halo${end === "a" ? " end" : ""}`, x, 4 + i * TEXT, pieces));
    });
  return shapes;
}

// What stands beside a mark is an item of its own: the name of what can be chosen is what stands on it.
function markItems(drawing: Drawing, placed: Placed): Item[] {
  const mark = placed.mark, item = { key: `${mark.kind}${mark.at}`, y: placed.y, shapes: [] };
  const side = [...sideShapes(drawing, placed), ...belowShapes(drawing, placed)];
  const own = ownItem(drawing, placed, item);
  const beside: Item[] = side.length > 0 ? [{ key: `beside${item.key}`, y: placed.y, shapes: side }] : [];
  return own ? [own, ...beside] : beside;
}

function ownItem(drawing: Drawing, placed: Placed, item: Item): Item | null {
  const mark = placed.mark;
  switch (mark.kind) {
    case "segment": case "datagram": return arrowItem(drawing, placed, item);
    case "icmp": return icmpItem(drawing, mark.event, item);
    case "handshake": return handshakeItem(drawing, mark.event, placed.below, item);
    case "message": return messageItem(drawing, mark.messages, item);
    case "loss": case "gap": case "fold": return noteItem(drawing, mark, item);
    default: return null;
  }
}

function headItems(drawing: Drawing): Item[] {
  const { a, b, time, kernel, width } = drawing.columns, connection = drawing.story.connection;
  const shapes: Shape[] = [];
  if (time > 0) shapes.push(text("mute", 2, 13, plain("ms")));
  if (kernel > 0) shapes.push(text("mute", time + 6, 13, plain("RTO, ms")), text("mute end", time + kernel - 8, 13, plain("cwnd")));
  for (const end of ["a", "b"] as const) {
    const left = end === "a" ? time + kernel : (a + b) / 2 + 8, right = end === "a" ? (a + b) / 2 - 8 : width;
    const room = Math.floor((right - left) / 6.6);
    const name = cut(foreignText(endName(connection, end)), room), address = cut(foreignText(connection.end[end].address), room);
    const cls = end === "a" ? "" : " end", at = end === "a" ? left + 2 : width - 2;
    shapes.push(text(`b${cls}`, at, 13, name), text(`mono mute${cls}`, at, 27, address));
  }
  return [{ key: "head", y: 0, shapes }];
}

function takeKernel(drawing: Drawing): void {
  for (const { mark } of drawing.marks) {
    if (mark.kind !== "values" || typeof mark.event.rto_us !== "number" || mark.event.rto_us <= 0) continue;
    drawing.kernelEnd ??= mark.event.end;
    if (mark.event.end === drawing.kernelEnd) drawing.rtoLeast = Math.min(drawing.rtoLeast, mark.event.rto_us);
  }
}

// How far down a mark's shapes reach.
function reach(drawing: Drawing, placed: Placed): number {
  const mark = placed.mark, below = leastHeight(drawing, placed);
  return mark.kind === "segment" || mark.kind === "datagram" ? below + Math.max(0, arrowEnds(drawing, placed, mark.event).dy) : below;
}

function markSlot(drawing: Drawing, placed: Placed): Slot {
  const key = `${placed.mark.kind}${placed.mark.at}`;
  return { keys: [key, `beside${key}`], y: placed.y, end: placed.y + reach(drawing, placed), items: () => markItems(drawing, placed) };
}

// The texts of the marks are many, what stands behind them is little: it is made at once.
function slots(drawing: Drawing): Slot[] {
  const behind = [...lifeItems(drawing, "a"), ...lifeItems(drawing, "b"), ...callItems(drawing), ...pauseItems(drawing),
    ...kernelItems(drawing), ...linkItems(drawing), ...timeItems(drawing)];
  return [...behind.map((item) => ({ keys: [item.key], y: item.y, end: item.end ?? item.y, items: () => [item] })),
    ...drawing.marks.map((placed) => markSlot(drawing, placed))];
}

function begin(story: Story, marks: Mark[], before: { a: string; b: string }, options: LayoutOptions): Drawing {
  const hasCalls = story.connection.end.a.calls || story.connection.end.b.calls;
  const drawing: Drawing = {
    story, options, flight: options.flight ?? story.flight, yEnd: 0, kernelEnd: null, rtoLeast: Infinity,
    columns: columnsFor(options.width, hasCalls, false), at: new Map(),
    marks: marks.map((mark, i) => ({ mark, y: 0, below: [], sides: { a: [], b: [] }, ...(i === 0 ? { before } : {}) })),
  };
  for (const placed of drawing.marks) drawing.at.set(placed.mark, placed);
  takeKernel(drawing);
  drawing.columns = columnsFor(options.width, hasCalls, drawing.kernelEnd !== null);
  return drawing;
}

// Where everything is, in slices: whoever draws may do something else at each yield. What it looks like is asked of the
// slots, for what is to be seen of them.
export function* planned(story: Story, marks: Mark[], before: { a: string; b: string }, options: LayoutOptions): Generator<void, Plan> {
  const drawing = begin(story, marks, before, options);
  for (const placed of drawing.marks) {
    placed.sides = sideTexts(drawing, placed.mark);
    drawnLabel(drawing, placed);
    yield;
  }
  placeMarks(drawing);
  if (drawing.flight > 0 && levelLabels(drawing)) {
    for (const placed of drawing.marks) {
      if (!placed.level) continue;
      drawnLabel(drawing, placed);
      yield;
    }
    placeMarks(drawing);
  }
  yield;
  return { width: options.width, height: Math.ceil(drawing.yEnd), slots: slots(drawing), head: headItems(drawing), words: pictureWords(story) };
}

export function layout(story: Story, marks: Mark[], before: { a: string; b: string }, options: LayoutOptions): Picture {
  const making = planned(story, marks, before, options);
  let made = making.next();
  while (!made.done) made = making.next();
  const { width, height, head, words } = made.value;
  return { width, height, head, words, items: made.value.slots.flatMap((slot) => slot.items()) };
}

function pictureWords(story: Story): string {
  const { a, b } = story.connection.end;
  return `Ladder of connection ${a.address} to ${b.address}`;
}
