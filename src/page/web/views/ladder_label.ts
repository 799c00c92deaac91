// SPDX-License-Identifier: MIT
// What stands on an arrow, in order: flags, numbers, ack, sack, window, mss, options, payload, what it repeats, notes.
// What does not fit goes in a fixed order, the least telling first; flags, numbers and lengths go last, and what is not
// said again elsewhere stands below. The same rules as in the terminal.
import { bytesOf, has, isCopy, type DatagramEvent, type SegmentEvent } from "./ladder_events";
import { cellsOf, plain, preview, textOf, type Piece } from "./ladder_text";

const order = ["flags", "seq", "ack", "sack", "win", "mss", "options", "preview", "again", "notes"] as const;
type Part = (typeof order)[number];
type Parts = Partial<Record<Part, Piece[]>>;

export interface Label { parts: Parts; below: Piece[] }
export interface LabelContext { raw: boolean; firstAck: boolean; afterZero: boolean }

const PREVIEW_CELLS = 34;

// Notes that the label has words for; the others are said at the side, below, or by another part.
const noteWords: [string, string][] = [
  ["spurious", "was not lost"], ["fills-hole", "fills hole"], ["duplicate-ack", "dup ack"], ["dsack", "dsack"],
  ["window-update", "window update"], ["window-full", "fills window"], ["keep-alive", "keep-alive"],
  ["keep-alive-answer", "keep-alive answer"], ["after-end", "after the end"], ["checksum-bad", "bad checksum"],
  ["mss-missing", "no mss"], ["urgent", "urgent"], ["fast-open", "data in SYN"],
];

function notesText(segment: SegmentEvent | DatagramEvent): string {
  const said: string[] = [];
  const repeat = "repeat" in segment ? segment.repeat ?? 0 : 0;
  for (const [note, words] of noteWords) {
    if (!has(segment, note)) continue;
    if (note === "fills-hole" && segment.fate && has(segment, "out-of-order")) continue; // it was overtaken: that is said
    said.push(note === "duplicate-ack" && repeat > 0 ? `${words} ${repeat}` : words);
  }
  if (has(segment, "refused")) said.push("refused");
  if (segment.event === "segment" && segment.options?.malformed) said.push("bad options");
  return said.join(", ");
}

const isSyn = (segment: SegmentEvent): boolean => segment.flags.includes("S");
export const isPureAck = (segment: SegmentEvent): boolean =>
  !/[SFR]/.test(segment.flags) && segment.len === 0 && !has(segment, "window-probe") && !has(segment, "keep-alive");

function numbersText(segment: SegmentEvent, raw: boolean): string {
  const first = raw ? segment.seq_raw : segment.seq;
  const seq = segment.len === 0 || isSyn(segment) ? `seq ${first}` : "";
  if (segment.len === 0) return seq;
  const from = first + (isSyn(segment) ? 1 : 0), to = from + segment.len; // the SYN takes a number before its data
  const range = raw ? `${from % 2 ** 32}:${to % 2 ** 32}` : `${from}:${to}`;
  return `${seq}${seq ? " " : ""}${range}(${segment.len})`;
}

function sackText(segment: SegmentEvent, raw: boolean, most: number): string {
  const ranges = segment.options?.sack ?? [];
  if (ranges.length === 0) return "";
  const number = (n: number): number => (raw ? (((segment.ack_raw + n - segment.ack) % 2 ** 32) + 2 ** 32) % 2 ** 32 : n);
  const shown = ranges.slice(0, most).map(([from, to]) => `${number(from)}:${number(to)}`);
  return `sack ${shown.join(" ")}${ranges.length > most ? ` +${ranges.length - most}` : ""}`;
}

function optionsText(segment: SegmentEvent): string {
  const options = segment.options ?? {};
  const names = [
    options.window_scale !== undefined && options.window_scale >= 0 && `wscale ${options.window_scale}`,
    options.sack_permitted && "sackOK", options.ts_value !== undefined && "ts", options.has_fast_open && "tfo",
    options.has_mptcp && "mptcp", options.has_md5 && "md5", options.has_user_timeout && "uto", options.has_accecn && "accecn",
    (options.unknown ?? 0) > 0 && `+${options.unknown}`,
  ];
  return names.filter(Boolean).join(" ");
}

function againText(segment: SegmentEvent): string {
  if (isCopy(segment)) return segment.again_of ? `again #${segment.again_of}` : "again";
  if (!has(segment, "window-probe")) return "";
  return segment.repeat ? `probe ${segment.repeat}` : "probe";
}

const closedWindow = (segment: SegmentEvent): boolean => segment.window === 0 && !segment.flags.includes("R");

export function segmentLabel(segment: SegmentEvent, raw: boolean): Label {
  const parts: Parts = {}, again = againText(segment), closed = closedWindow(segment);
  parts.flags = plain(segment.flags);
  parts.seq = plain(numbersText(segment, raw));
  if (segment.flags.includes(".")) parts.ack = plain(`ack ${raw ? segment.ack_raw : segment.ack}`);
  parts.sack = plain(sackText(segment, raw, 4));
  parts.again = plain(again, isCopy(segment) ? "tr" : undefined);
  parts.notes = plain(notesText(segment));
  // Copies and probes do not say again what was said already; but a closed window is always news.
  const said = again !== "" || has(segment, "keep-alive");
  if (!said || closed)
    parts.win = plain(`win ${segment.window}${has(segment, "scale-unknown") ? "?" : ""}`, closed ? "tr" : undefined);
  if (said) return { parts, below: [] };
  if (segment.options?.mss) parts.mss = plain(`mss ${segment.options.mss}`);
  if (isSyn(segment)) parts.options = plain(optionsText(segment));
  parts.preview = preview(bytesOf(segment), segment.len, PREVIEW_CELLS);
  return { parts, below: [] };
}

// Several in a row as one: "1:5793(4×1448)", or "ack 5793 ×3".
export function foldedLabel(segments: SegmentEvent[], raw: boolean): Label {
  const first = segments[0]!, last = segments[segments.length - 1]!, n = segments.length;
  const label = segmentLabel({ ...last, notes: [], text: undefined, base64: undefined }, raw);
  if (isPureAck(last)) {
    label.parts.notes = plain(`×${n}`);
    return label;
  }
  const even = segments.every((each) => each.len === first.len);
  const bytes = segments.reduce((sum, each) => sum + each.len, 0);
  const from = raw ? first.seq_raw : first.seq, to = raw ? (first.seq_raw + bytes) % 2 ** 32 : first.seq + bytes;
  label.parts.seq = plain(`${from}:${to}(${even ? `${n}×${first.len}` : `${bytes} in ${n}`})`);
  return label;
}

export function datagramLabel(datagram: DatagramEvent): Label {
  const parts: Parts = { flags: plain(`udp ${datagram.len}`), notes: plain(notesText(datagram)) };
  parts.preview = preview(bytesOf(datagram), datagram.len, PREVIEW_CELLS);
  return { parts, below: [] };
}

export function labelPieces(label: Label): Piece[] {
  const all: Piece[] = [];
  for (const part of order) {
    const pieces = label.parts[part];
    if (pieces && pieces.length > 0) all.push(...(all.length > 0 ? [{ text: " " }] : []), ...pieces);
  }
  return all;
}
export const labelText = (label: Label): string => textOf(labelPieces(label));

// A label's parts with their lengths, so that nothing is measured twice.
class Fitting {
  private readonly cells = new Map<Part, number>();
  readonly below: Piece[] = [];

  constructor(readonly parts: Parts, private readonly room: number) {
    for (const part of order) this.measure(part);
  }
  private measure(part: Part): void {
    const pieces = this.parts[part];
    if (pieces?.length) this.cells.set(part, cellsOf(pieces));
    else this.cells.delete(part);
  }
  size(part: Part): number { return this.cells.get(part) ?? 0; }
  total(): number {
    let n = this.cells.size - 1;
    for (const each of this.cells.values()) n += each;
    return n;
  }
  tooLong(): boolean { return this.total() > this.room; }
  set(part: Part, pieces: Piece[]): void {
    this.parts[part] = pieces;
    this.measure(part);
  }
  drop(part: Part): void { this.set(part, []); }
  toBelow(part: Part): void {
    const pieces = this.parts[part];
    if (pieces?.length) this.below.push(...(this.below.length > 0 ? [{ text: " " }] : []), ...pieces);
    this.drop(part);
  }

  // The payload whole without the window tells more than the window without the payload; the window tells more than the
  // payload in part.
  preview(event: SegmentEvent | DatagramEvent, keepWindow: boolean): void {
    const n = this.total(), window = this.size("win") > 0 ? this.size("win") + 1 : 0, shown = this.size("preview");
    if (shown === 0 || n <= this.room) return;
    if (!keepWindow && window > 0 && n - window <= this.room) this.drop("win");
    else this.set("preview", preview(bytesOf(event), event.len, Math.max(0, this.room - (n - shown))));
  }
}

// What no longer fits goes, in this order, until the rest does.
export function fitLabel(label: Label, event: SegmentEvent | DatagramEvent, context: LabelContext, room: number): Label {
  const fit = new Fitting({ ...label.parts }, room);
  const dropIf = (part: Part, is = true): void => { if (is && fit.tooLong()) fit.drop(part); };
  if (!fit.tooLong()) return { parts: fit.parts, below: [] };
  const segment = event.event === "segment" ? event : null;
  const keepWindow = segment !== null && (closedWindow(segment) || (context.afterZero && segment.window > 0));
  fit.drop("options");
  dropIf("mss", segment !== null && isSyn(segment));
  fit.preview(event, keepWindow);
  dropIf("seq", segment !== null && isPureAck(segment) && !context.firstAck);
  dropIf("win", !keepWindow);
  dropIf("mss");
  if (segment && fit.tooLong()) fit.set("sack", plain(sackText(segment, context.raw, 1)));
  for (const part of ["notes", "again"] as const) if (fit.tooLong()) fit.toBelow(part);
  for (const part of ["sack", "ack"] as const) dropIf(part);
  for (const part of order.slice(1)) if (fit.tooLong()) fit.toBelow(part);
  if (fit.tooLong()) fit.toBelow("flags");
  return { parts: fit.parts, below: fit.below };
}
