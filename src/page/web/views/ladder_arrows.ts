// SPDX-License-Identifier: MIT
// Segments and datagrams as arrows: whole, lost on their way, thrown away, several as one.
import { isCopy, other, type DatagramEvent, type End, type SegmentEvent } from "./ladder_events";
import { datagramLabel, fitLabel, foldedLabel, labelPieces, labelText, segmentLabel, type Label } from "./ladder_label";
import { FLIGHT, lifeX, toward, type Drawing } from "./ladder_layout";
import { shortName, type Mark } from "./ladder_marks";
import { timerWords } from "./ladder_notes";
import { cells, foreignText, handshakeText, marginTime, plain, textOf, type Piece } from "./ladder_text";
import { line, path, sloped, text, type Item, type Shape } from "./ladder_shapes";

export interface Placed {
  mark: Mark; y: number; sides: Record<End, { pieces: Piece[]; cls: string }[]>;
  below: Piece[][];                              // lines under the arrow
  label?: Piece[]; whole?: string;               // what stands on it, and all that could
  pause?: { from: number; to: number; ns: number };
  before?: { a: string; b: string };             // states before the first mark that is drawn
  level?: boolean;                               // the label keeps to its sender, and does not turn with the line
}

const NOTE_SHARE = 1.1; // notes are in smaller letters than what stands on the lines
const STEEP = 0.45, APART = 12, LOOKED_AT = 40;
const CHARACTER = 6.7, BAND_GAP = 5, LABEL_ABOVE = 5, LABEL_INSIDE = 12, CROSS = 5, CROSS_AT = 0.72, BELOW_MOST = 3;

const wireCells = (drawing: Drawing): number => Math.floor((drawing.columns.b - drawing.columns.a - 2 * BAND_GAP) / CHARACTER);

// "7", or "7–9"
export function numberText(mark: Mark): string {
  if (mark.kind !== "segment" && mark.kind !== "datagram") return "";
  const folded = mark.kind === "segment" ? mark.folded : undefined;
  return folded ? `${mark.event.number}–${folded[folded.length - 1]!.number}` : String(mark.event.number);
}

export function fullLabel(mark: Mark, raw: boolean): Label | null {
  if (mark.kind === "datagram") return datagramLabel(mark.event);
  if (mark.kind !== "segment") return null;
  return mark.folded ? foldedLabel(mark.folded, raw) : segmentLabel(mark.event, raw);
}

function wrap(words: string, room: number): string[] {
  const lines: string[] = [];
  let row = "";
  for (const word of words.split(" ")) {
    if (row !== "" && cells(row) + 1 + cells(word) > room) {
      lines.push(row);
      row = word;
    } else row = row === "" ? word : `${row} ${word}`;
  }
  return row === "" ? lines : [...lines, row];
}

// Which words there is room for, and how many lines go below: before heights are known.
export function drawnLabel(drawing: Drawing, placed: Placed): void {
  const { mark } = placed;
  if (mark.kind === "handshake" && mark.event.agreed && cells(`${handshakeText(mark.event)}: ${mark.event.agreed}`) > wireCells(drawing) - 2)
    placed.below = wrap(`└ ${textOf(foreignText(mark.event.agreed))}`, wireCells(drawing) - 2).slice(0, BELOW_MOST).map((row) => plain(row));
  if (mark.kind !== "segment" && mark.kind !== "datagram") return;
  const room = wireCells(drawing), isLost = mark.event.fate === "lost" && !placed.level;
  const words = wordsOf(mark, drawing.options.raw, (isLost ? Math.floor(room * CROSS_AT) : room) - cells(numberText(mark)) - 2);
  placed.label = words.label;
  placed.whole = words.whole;
  placed.below = words.below.length > 0 ? [words.below] : [];
  const notes = mark.kind === "segment" && !mark.isTail ? mark.notes : [];
  const lines = notes.flatMap((note) => wrap(`└ ${note}`, Math.floor(room * NOTE_SHARE))).slice(0, BELOW_MOST);
  placed.below.push(...lines.map((row) => plain(row)));
}

interface Words { key: string; label: Piece[]; whole: string; below: Piece[] }
// Events do not change: what was made of one the last time is still right, mostly.
const known = new WeakMap<SegmentEvent | DatagramEvent, Words>();

function wordsOf(mark: Extract<Mark, { kind: "segment" | "datagram" }>, raw: boolean, room: number): Words {
  const firstAck = mark.kind === "segment" && mark.firstAck, afterZero = mark.kind === "segment" && mark.afterZero;
  const folded = mark.kind === "segment" ? mark.folded?.length ?? 0 : 0, key = [raw, room, firstAck, afterZero, folded].join();
  const before = known.get(mark.event);
  if (before?.key === key) return before;
  const label = fullLabel(mark, raw)!, fitted = fitLabel(label, mark.event, { raw, firstAck, afterZero }, room);
  const words = { key, label: labelPieces(fitted), whole: labelText(label), below: fitted.below };
  known.set(mark.event, words);
  return words;
}

export function arrowEnds(drawing: Drawing, placed: Placed, event: SegmentEvent | DatagramEvent): { x1: number; x2: number; dy: number } {
  const { columns, options, flight } = drawing, from = event.from, way = toward(from);
  const x1 = lifeX(columns, from) + way * BAND_GAP, x2 = lifeX(columns, other(from)) - way * BAND_GAP;
  const flightHeight = flight > 0 ? FLIGHT * options.zoom : 0;
  if (event.fate === "lost") return { x1, x2: x1 + (x2 - x1) * CROSS_AT, dy: flightHeight * CROSS_AT };
  const arrival = placed.mark.kind === "segment" ? placed.mark.arrival : undefined;
  if (arrival) {
    const there = drawing.at.get(arrival);
    return { x1, x2, dy: there ? there.y - placed.y : flightHeight };
  }
  return { x1, x2, dy: event.arrived_ns && event.arrived_ns > event.t_ns ? flightHeight : 0 };
}

// Labels stand on the middle of their lines, and turn with them. Where lines cross, converge or are steep, these would lie
// on each other: at the senders there is a row for each. To be known, all must have been placed once.
export function levelLabels(drawing: Drawing): boolean {
  const drawn: { placed: Placed; middle: number }[] = [];
  let some = false;
  for (const placed of drawing.marks) {
    const mark = placed.mark;
    if (mark.kind !== "segment" || mark.isTail) continue;
    const { x1, x2, dy } = arrowEnds(drawing, placed, mark.event), middle = placed.y + dy / 2;
    const level = dy > STEEP * Math.abs(x2 - x1);
    for (let i = Math.max(0, drawn.length - LOOKED_AT); i < drawn.length; i++) {
      const each = drawn[i]!;
      if (Math.abs(each.middle - middle) >= APART) continue;
      each.placed.level = placed.level = some = true;
    }
    if (level) placed.level = some = true;
    drawn.push({ placed, middle });
  }
  return some;
}

function labelShape(placed: Placed, x1: number, x2: number, dy: number): Shape {
  const middleX = (x1 + x2) / 2, middleY = dy / 2;
  const angle = Math.atan2(dy, Math.abs(x2 - x1)) * 180 / Math.PI * (x2 > x1 ? 1 : -1);
  const pieces: Piece[] = [{ text: `${numberText(placed.mark)} `, cls: "mute" }, ...(placed.label ?? [])];
  if (!placed.level) return text("lb mono mid halo", middleX, middleY - LABEL_ABOVE, pieces, sloped(angle, middleX, middleY));
  const isLeft = x1 < x2;
  return text(`lb mono halo${isLeft ? "" : " end"}`, x1 + (isLeft ? LABEL_INSIDE : -LABEL_INSIDE), -LABEL_ABOVE + 2, pieces);
}

// "segment 10 . ack 4345 win 0, from client at 42.1 ms, RTO 1, 4 again": what stands on it first, as it stands there.
export function arrowWords(drawing: Drawing, placed: Placed): string {
  const mark = placed.mark, connection = drawing.story.connection;
  if (mark.kind !== "segment" && mark.kind !== "datagram") return "";
  const event = mark.event, many = mark.kind === "segment" && mark.folded ? "s" : "", drawn = textOf(placed.label ?? []);
  const unit = mark.t >= connection.origin ? " ms" : "";
  const said = [`${mark.kind}${many} ${numberText(mark)} ${drawn}`,
    `from ${shortName(connection, event.from)} at ${marginTime(mark.t - connection.origin)}${unit}`];
  if (placed.whole && placed.whole !== drawn) said.push(`in full: ${placed.whole}`);
  if (event.fate === "lost") said.push("lost");
  if (event.fate === "thrown-away") said.push("thrown away");
  if (mark.kind === "segment") {
    const timer = timerWords(mark.timer, mark.event);
    said.push(...(timer ? [timer] : []), ...mark.notes);
  }
  for (const { end, state } of mark.states ?? []) said.push(`${shortName(connection, end)} ${state}`);
  return said.join(", ");
}

// Under the line: notes, and what of the label had no room on it.
export function belowShapes(drawing: Drawing, placed: Placed): Shape[] {
  const mark = placed.mark;
  if ((mark.kind !== "segment" && mark.kind !== "datagram") || placed.below.length === 0) return [];
  const { x1, x2, dy } = arrowEnds(drawing, placed, mark.event), y = placed.level ? 0 : dy / 2;
  return placed.below.map((row, i) => text("small mute mid halo", (x1 + x2) / 2, y + 13 + i * 13, row));
}

// Where what did not arrive ends.
export function crossOf(drawing: Drawing, placed: Placed): { x: number; y: number } | null {
  const mark = placed.mark;
  if (mark.kind !== "segment" || (mark.event.fate !== "lost" && mark.event.fate !== "thrown-away")) return null;
  const { x2, dy } = arrowEnds(drawing, placed, mark.event);
  return { x: x2, y: placed.y + dy };
}

export function arrowItem(drawing: Drawing, placed: Placed, item: Item): Item {
  const mark = placed.mark as Extract<Mark, { kind: "segment" | "datagram" }>, event = mark.event;
  const { x1, x2, dy } = arrowEnds(drawing, placed, event);
  const isLost = event.fate === "lost" || event.fate === "thrown-away", isRed = isCopy(event);
  const isTail = mark.kind === "segment" && mark.isTail === true;
  const marker: Record<string, string> = isLost ? {} : { "marker-end": `url(#${isRed ? "lad-red" : "lad-ink"})` };
  const shapes = [...item.shapes];
  if (!isTail) shapes.push(line("hit", x1, 0, x2, dy));
  shapes.push(line("ln", x1, 0, x2, dy, marker));
  if (isLost) {
    shapes.push(path("cross", `M${Math.round(x2 - CROSS)},${Math.round(dy - CROSS)} l10,10 m0,-10 l-10,10`));
  }
  if (isTail) return { ...item, shapes, cls: "seg tail" };
  shapes.push(labelShape(placed, x1, x2, dy));
  const zero = event.event === "segment" && event.window === 0 && !event.flags.includes("R");
  return { ...item, shapes, cls: `seg${isRed || event.fate === "lost" ? " red" : ""}${zero ? " zero" : ""}`, segment: event.number,
    words: arrowWords(drawing, placed) };
}
