// SPDX-License-Identifier: MIT
// The list: one event a line, where two life lines have no room. "4 > P. 1:6(5)" is segment 4 from A to B; what belongs
// to one end alone begins with that end's name. Nothing is dropped: lines wrap.
import type { End } from "./ladder_events";
import { fullLabel, numberText } from "./ladder_arrows";
import { labelPieces } from "./ladder_label";
import { shortName, type Mark, type Story } from "./ladder_marks";
import { lossText, timerWords } from "./ladder_notes";
import { callText, foreignText, handshakeText, icmpText, marginTime, messagesText, plain, span, textOf, valuesText, type Piece } from "./ladder_text";

export interface Line {
  key: string; time: string; pieces: Piece[];
  notes: string[];
  cls?: string;
  segment?: number; words?: string;
}

const WIDE = 1000;
const lineClass: Record<string, string> = { values: "k", loss: "b", gap: "b", fold: "mute", icmp: "tr" };

function statePieces(story: Story, mark: Mark): Piece[] {
  return (mark.states ?? []).flatMap(({ end, state, guess }) => plain(`  ${shortName(story.connection, end)} ${state}${guess ? "?" : ""}`));
}

function arrowPieces(story: Story, mark: Extract<Mark, { kind: "segment" | "datagram" }>, raw: boolean): Piece[] {
  const label = fullLabel(mark, raw), event = mark.event;
  const pieces: Piece[] = [{ text: `${numberText(mark)} ${event.from === "a" ? ">" : "<"} ` }, ...(label ? labelPieces(label) : [])];
  if (event.fate === "lost") pieces.push({ text: " × lost", cls: "tr" });
  if (event.fate === "thrown-away") pieces.push({ text: " × thrown away", cls: "tr" });
  if (mark.kind === "segment") pieces.push(...plain(mark.timer ? `  ${timerWords(mark.timer, mark.event)}` : "", "tr"));
  return [...pieces, ...statePieces(story, mark)];
}

function piecesOf(story: Story, mark: Mark, raw: boolean): Piece[] {
  const name = (end: End): string => shortName(story.connection, end);
  switch (mark.kind) {
    case "segment": return mark.isTail ? [] : arrowPieces(story, mark, raw);
    case "datagram": return arrowPieces(story, mark, raw);
    case "arrival": return mark.states ? [{ text: `#${mark.event.number} arrives` }, ...statePieces(story, mark)] : [];
    case "call": {
      const words = callText(mark.event, mark.part === "begin" ? "begin" : "whole", WIDE);
      const after = mark.part === "end" && mark.mate ? ` after ${span(mark.t - mark.mate.t)}` : "";
      return [{ text: `${name(mark.event.end)} ` }, ...words, ...plain(after)];
    }
    case "values": {
      const words = valuesText(mark.event, WIDE);
      return words === "" ? [] : plain(`${name(mark.event.end)} ${words}`);
    }
    case "state": return statePieces(story, mark);
    case "icmp": return [{ text: `${name(mark.event.to)} is told: ` }, ...foreignText(icmpText(mark.event))];
    case "handshake": return [{ text: `${name(mark.event.end)} ${handshakeText(mark.event)}` },
      ...(mark.event.agreed ? [{ text: ": " }, ...foreignText(mark.event.agreed)] : [])];
    case "message": {
      const first = mark.messages.first, words = messagesText(mark.messages, WIDE);
      return first.end ? [{ text: `${name(first.end)} ${first.from === "a" ? ">" : "<"} ` }, ...words] : words;
    }
    case "loss": return foreignText(lossText(mark.event));
    case "gap": return foreignText(`~~ ${mark.event.words} ~~`);
    case "fold": return plain(mark.words);
  }
}

export function listLines(story: Story, marks: Mark[], raw: boolean): Line[] {
  const lines: Line[] = [];
  for (const mark of marks) {
    const pieces = piecesOf(story, mark, raw);
    if (pieces.length === 0) continue;
    const line: Line = { key: `${mark.kind}${mark.at}`, time: marginTime(mark.t - story.connection.origin), pieces, notes: [] };
    const cls = lineClass[mark.kind];
    if (cls) line.cls = cls;
    if (mark.kind === "segment" || mark.kind === "datagram") {
      line.segment = mark.event.number;
      line.words = `${mark.kind} ${textOf(pieces)}, at ${line.time}${mark.t >= story.connection.origin ? " ms" : ""}`;
      if (mark.kind === "segment") line.notes = mark.notes;
      if (mark.event.fate === "lost") line.cls = "tr";
    }
    lines.push(line);
  }
  return lines;
}
