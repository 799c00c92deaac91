// SPDX-License-Identifier: MIT
// What is said of a segment beside its label: below it, or at its sender's side. The words of the ladder in the terminal.
import { has, isCopy, type LossEvent, type SegmentEvent } from "./ladder_events";
import type { Connection, Following } from "./ladder_marks";
import { count } from "../dom";

const resetWords: Record<string, string> = {
  "unread-data": "reset: closed with data unread, or data came for a closed socket",
  "after-close": "reset: data came for an end that had closed completely",
  abort: "reset out of the blue: unread data, SO_LINGER 0, a crash, or a middlebox",
  timeout: "reset behind repeats that nobody answered",
  "no-such-connection": "reset: this end does not know the connection (any more)",
};

// Where both ends were watched, the rows show what came first, and what never came.
const orderWords = (segment: SegmentEvent, watched: string | null, alone: string): string | null => (segment.fate ? watched : alone);

function holeNote(following: Following, segment: SegmentEvent): string {
  if (following.next !== null && following.next < segment.seq)
    return `#${segment.number} came before ${following.next}:${segment.seq}: lost or reordered`;
  return `#${segment.number} came before what precedes it: lost or reordered`;
}

// When nobody looked at the other end, a repeat does not tell which of the two was lost.
function lostNote(connection: Connection, segment: SegmentEvent): string | null {
  if (!isCopy(segment) || has(segment, "spurious") || (segment.repeat ?? 0) > 1 || !segment.again_of) return null;
  if ((connection.end.a.captured && connection.end.b.captured) || segment.arrived_ns || segment.fate === "lost" ||
      segment.fate === "thrown-away")
    return null;
  return `#${segment.again_of} was lost, or its ${has(segment, "syn-retry") ? "answer" : "ACK"} was`;
}

export function segmentNotes(connection: Connection, segment: SegmentEvent): string[] {
  const notes = segment.notes ?? [], following = connection.following[segment.from];
  if (notes.length === 0) return [];
  const said: (string | null | false | undefined)[] = [
    has(segment, "begins-midway") && "begins mid-connection: 1 is the first number seen",
    has(segment, "tuple-reused") && "the addresses and ports of an earlier connection, again",
    has(segment, "out-of-order") && orderWords(segment, "overtaken on its way", "came late: what follows it was seen before"),
    has(segment, "not-captured") && "acknowledges bytes that are not in this capture",
    has(segment, "seen-twice") && orderWords(segment, null, "the same packet, seen again at another point of the capture"),
    has(segment, "simultaneous-open") && "both ends opened at once",
    has(segment, "simultaneous-close") && "both ends closed at once",
    has(segment, "seen-twice") && segment.fate && `a copy of #${segment.again_of ?? "?"}, made on the way`,
    has(segment, "hole") && !segment.fate && holeNote(following, segment),
    lostNote(connection, segment),
    has(segment, "reset") && !has(segment, "refused") && resetWords[segment.reset_cause ?? ""],
  ];
  if (has(segment, "offload") && !following.offloadSaid) {
    said.push("cut into MSS sizes after this point of capture");
    following.offloadSaid = true;
  }
  if (has(segment, "cut") && !following.cutSaid) {
    said.push("the capture holds only its beginning");
    following.cutSaid = true;
  }
  return said.filter((note): note is string => typeof note === "string");
}

// Which timer sent this copy: "RTO 2", "tail probe", "SYN retry 1".
export function timerText(following: Following, segment: SegmentEvent): string {
  if (has(segment, "syn-retry")) return `${segment.flags.includes(".") ? "SYN-ACK" : "SYN"} retry ${segment.repeat ?? 1}`;
  if (has(segment, "rto")) {
    if (!segment.again_of || following.rtoOf !== segment.again_of) following.rtos = 0;
    following.rtoOf = segment.again_of ?? 0;
    return `RTO ${++following.rtos}`;
  }
  if (has(segment, "fast")) return "fast";
  return has(segment, "tail-probe") ? "tail probe" : "";
}

// Beside the sender: "RTO 2, 4 again"
export const timerWords = (timer: string, segment: SegmentEvent): string =>
  timer && segment.again_of ? `${timer}, ${segment.again_of} again` : timer;

export function lossText(event: LossEvent): string {
  return `${count(event.n)} ${event.what ?? "events"} are missing here${event.why ? `: ${event.why}` : ""}`;
}
