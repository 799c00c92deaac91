// SPDX-License-Identifier: MIT
// From events to marks: what happens at which time, in order, with what only those before it tell: states, which copy it
// is, whether the window was closed. One pass without any texts, so that all that is kept can be passed over often; the
// texts are made for what is drawn (ladder_layout.ts, ladder_list.ts).
import {
  other, type CallEvent, type ConnectionEvent, type DatagramEvent, type End, type EndNews, type GapEvent,
  type HandshakeEvent, type IcmpEvent, type LadderEvent, type LossEvent, type MessageEvent, type SegmentEvent,
  type SentenceEvent, type StateEvent, type ValuesEvent,
} from "./ladder_events";
import { joinMessage, type Messages } from "./ladder_text";
import { segmentNotes, timerText } from "./ladder_notes";

export interface EndState { address: string; role: "client" | "server" | "unknown"; state: string; guess: boolean; calls: boolean;
  captured: boolean; pid: number; program: string }
export interface Following { next: number | null; nextRaw: number; zero: boolean; rtoOf: number; rtos: number; cutSaid: boolean;
  offloadSaid: boolean }
export interface Connection { introduced: boolean; protocol: string; where: string; hasSegments: boolean; origin: number;
  firstAck: boolean; end: Record<End, EndState>; following: Record<End, Following> }

interface MarkBase {
  t: number; at: number;                        // when; its place among all events so far (arrivals: that of their segment)
  states?: { end: End; state: string; guess: boolean }[]; // that begin here
  now: { a: string; b: string };                // states of both ends from here on
}
export interface SegmentMark extends MarkBase { kind: "segment"; event: SegmentEvent; arrival?: ArrivalMark; timer: string;
  notes: string[]; firstAck: boolean; afterZero: boolean;
  folded?: SegmentEvent[];                      // this one and those after it, told as one
  isTail?: boolean }                            // the last of these: an arrow without words
export interface ArrivalMark extends MarkBase { kind: "arrival"; event: SegmentEvent; of: SegmentMark }
export interface CallMark extends MarkBase { kind: "call"; event: CallEvent; part: "begin" | "end" | "whole"; mate?: CallMark }
export type Mark = SegmentMark | ArrivalMark | CallMark
  | MarkBase & { kind: "datagram"; event: DatagramEvent }
  | MarkBase & { kind: "icmp"; event: IcmpEvent }
  | MarkBase & { kind: "handshake"; event: HandshakeEvent }
  | MarkBase & { kind: "message"; event: MessageEvent; messages: Messages }
  | MarkBase & { kind: "state"; event: StateEvent }
  | MarkBase & { kind: "values"; event: ValuesEvent }
  | MarkBase & { kind: "loss"; event: LossEvent }
  | MarkBase & { kind: "gap"; event: GapEvent }
  | MarkBase & { kind: "fold"; words: string; event: SegmentEvent; until: number };

export interface Story { connection: Connection; first: { a: string; b: string }; marks: Mark[]; sentences: SentenceEvent[];
  flight: number }

const NO_NOTES: string[] = [];
const blankEnd = (): EndState => ({ address: "", role: "unknown", state: "unknown", guess: false, calls: false, captured: false,
  pid: 0, program: "" });
const blankFollowing = (): Following => ({ next: null, nextRaw: 0, zero: false, rtoOf: 0, rtos: 0, cutSaid: false,
  offloadSaid: false });

function introduce(end: EndState, news: EndNews | undefined, first: boolean): void {
  if (!news) return;
  if (news.address && (first || !end.address)) end.address = news.address;
  if (news.role && news.role !== "unknown") end.role = news.role;
  // Later on the states come with segments and changes, not with more knowledge of who this is.
  if (first && news.state) end.state = news.state;
  end.pid = news.pid ?? end.pid;
  end.program = news.program ?? end.program;
  end.calls ||= news.calls_seen ?? false;
  end.captured ||= news.captured_here ?? false;
}

function introduceConnection(connection: Connection, event: ConnectionEvent): void {
  const first = !connection.introduced;
  introduce(connection.end.a, event.a, first);
  introduce(connection.end.b, event.b, first);
  connection.where = event.where ?? connection.where;
  connection.hasSegments ||= event.has_segments ?? false;
  if (first) connection.protocol = event.protocol ?? "tcp";
  connection.introduced = true;
}

// The ends' own words: "client nc[4121]"
export const shortName = (connection: Connection, end: End): string =>
  connection.end[end].role === "unknown" ? end.toUpperCase() : connection.end[end].role;
export function endName(connection: Connection, end: End): string {
  const about = connection.end[end];
  const name = about.pid ? `${about.program || "pid"}[${about.pid}]` : about.program;
  if (about.role === "unknown") return name || about.address;
  return `${about.role}${name ? ` ${name}` : ""}`;
}

const UNTOLD = { a: "", b: "" }; // states are filled in later (walk)

function takeSegmentMarks(marks: Mark[], event: SegmentEvent, at: number): void {
  const own: SegmentMark = { kind: "segment", t: event.t_ns, at, now: UNTOLD, states: undefined, event, arrival: undefined, timer: "",
    notes: NO_NOTES, firstAck: false, afterZero: false, folded: undefined, isTail: false };
  marks.push(own);
  if (event.arrived_ns === undefined || event.arrived_ns <= event.t_ns || event.fate === "lost") return;
  own.arrival = { kind: "arrival", t: event.arrived_ns, at, now: UNTOLD, states: undefined, event, of: own };
  marks.push(own.arrival);
}

function takeMessage(marks: Mark[], event: MessageEvent, at: number): void {
  const last = marks[marks.length - 1];
  if (last?.kind === "message" && joinMessage(last.messages, event)) return;
  const messages = { first: event, n: 1, last: event.number ?? 0, bytes: event.len ?? 0 };
  marks.push({ kind: "message", t: event.t_ns, at, now: UNTOLD, states: undefined, event, messages });
}

function makeMarks(events: LadderEvent[], base: number, story: Story): void {
  let at = base;
  for (const event of events) {
    switch (event.event) {
      case "connection": introduceConnection(story.connection, event); break;
      case "sentence": story.sentences.push(event); break;
      case "segment": takeSegmentMarks(story.marks, event, at); break;
      case "message": takeMessage(story.marks, event, at); break;
      case "call":
        story.marks.push({ kind: "call", t: event.t_ns, at, now: UNTOLD, states: undefined, event, part: event.phase, mate: undefined });
        break;
      default: story.marks.push({ kind: event.event, t: event.t_ns, at, now: UNTOLD, states: undefined, event } as Mark);
    }
    at++;
  }
  // Stable: events of one moment stay in the order in which they came.
  story.marks.sort((one, another) => one.t - another.t);
}

const JOIN_NS = 1e6;

// Which is the end of which call; a call with nothing between is one mark.
function joinCalls(story: Story): void {
  const open = new Map<number, CallMark>();
  for (const mark of story.marks) {
    if (mark.kind !== "call") continue;
    if (mark.part === "begin") open.set(mark.event.number, mark);
    const begun = mark.part === "end" ? open.get(mark.event.number) : undefined;
    if (!begun) continue;
    mark.mate = begun;
    begun.mate = mark;
    open.delete(mark.event.number);
  }
  story.marks = story.marks.filter((mark, i, all) => {
    const before = all[i - 1];
    if (mark.kind !== "call" || mark.part !== "end" || mark.mate !== before || mark.t - (before?.t ?? 0) >= JOIN_NS) return true;
    mark.mate!.part = "whole";
    mark.mate!.event = mark.event;
    mark.mate!.mate = undefined;
    return false;
  });
}

function takeState(connection: Connection, mark: Mark, end: End, state: string | undefined, guess: boolean): void {
  const about = connection.end[end];
  if (!state || state === "unknown" || state === about.state) return;
  about.state = state;
  about.guess = guess;
  (mark.states ??= []).push({ end, state, guess });
}

function takeSegment(connection: Connection, mark: SegmentMark): void {
  const event = mark.event, from = event.from, to = other(from), following = connection.following[from];
  takeState(connection, mark, from, event.states?.[from], event.guessed?.includes(from) ?? false);
  if (!mark.arrival && event.fate !== "lost" && event.fate !== "thrown-away")
    takeState(connection, mark, to, event.states?.[to], event.guessed?.includes(to) ?? false);
  mark.timer = timerText(following, event);
  mark.notes = segmentNotes(connection, event);
  mark.afterZero = following.zero;
  const isAck = event.flags.includes(".") && !event.flags.includes("S");
  mark.firstAck = isAck && !connection.firstAck;
  connection.firstAck ||= isAck;
  const taken = event.len + (event.flags.includes("S") ? 1 : 0) + (event.flags.includes("F") ? 1 : 0);
  if (following.next === null || event.seq + taken > following.next) {
    following.next = event.seq + taken;
    following.nextRaw = (event.seq_raw + taken) % 2 ** 32;
  }
  if (!event.flags.includes("R")) following.zero = event.window === 0;
}

function walk(story: Story): void {
  const connection = story.connection;
  let now = { a: connection.end.a.state, b: connection.end.b.state };
  for (const mark of story.marks) {
    if (mark.kind === "segment") takeSegment(connection, mark);
    else if (mark.kind === "arrival") {
      const to = other(mark.event.from);
      if (mark.event.fate !== "thrown-away")
        takeState(connection, mark, to, mark.event.states?.[to], mark.event.guessed?.includes(to) ?? false);
    } else if (mark.kind === "state") takeState(connection, mark, mark.event.end, mark.event.after, false);
    if (mark.states) now = { a: connection.end.a.state, b: connection.end.b.state };
    mark.now = now;
  }
}

// The median: one slow segment must not make the others look flat.
function usualFlight(marks: Mark[]): number {
  const flights = marks.filter((mark) => mark.kind === "arrival").map((mark) => mark.t - mark.event.t_ns).sort((a, b) => a - b);
  return flights[Math.floor(flights.length / 2)] ?? 0;
}

// base: how many events came before these and are no longer kept.
export function tell(events: LadderEvent[], base = 0, origin?: number): Story {
  const connection: Connection = {
    introduced: false, protocol: "tcp", where: "", hasSegments: false, origin: origin ?? events[0]?.t_ns ?? 0, firstAck: false,
    end: { a: blankEnd(), b: blankEnd() }, following: { a: blankFollowing(), b: blankFollowing() },
  };
  const story: Story = { connection, first: { a: "", b: "" }, marks: [], sentences: [], flight: 0 };
  makeMarks(events, base, story);
  joinCalls(story);
  story.first = { a: connection.end.a.state, b: connection.end.b.state };
  walk(story);
  story.flight = usualFlight(story.marks);
  return story;
}
