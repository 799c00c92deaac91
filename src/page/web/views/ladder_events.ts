// SPDX-License-Identifier: MIT
// The events of sonde-events(7) as the ladder reads them. What a line lacks is undefined; what is not as it should be is
// passed over: a ladder of what is sound is better than none.
import { fromBase64 } from "../bytes";
import type { SondeEvent, StateClass } from "../types";

export type End = "a" | "b";
export const other = (end: End): End => (end === "a" ? "b" : "a");

export interface EndNews {
  address?: string; role?: "client" | "server" | "unknown"; state?: string; calls_seen?: boolean; captured_here?: boolean;
  pid?: number; program?: string;
}
interface Base { t_ns: number; conn?: number }
interface Bytes { text?: string; base64?: string }
export interface ConnectionEvent extends Base {
  event: "connection"; protocol?: string; has_segments?: boolean; begins_midway?: boolean; where?: string; a?: EndNews; b?: EndNews;
}
export interface CallEvent extends Base, Bytes {
  event: "call"; call: string; phase: "whole" | "begin" | "end"; end: End; number: number; fd?: number; result?: number;
  error?: string; start_ns?: number; bytes?: number; datagram?: boolean; arguments?: string;
}
export interface Options {
  mss?: number; window_scale?: number; ts_value?: number; sack?: [number, number][]; sack_permitted?: boolean;
  has_fast_open?: boolean; has_mptcp?: boolean; has_md5?: boolean; has_user_timeout?: boolean; has_accecn?: boolean;
  unknown?: number; malformed?: boolean;
}
export type Fate = "arrived" | "lost" | "thrown-away";
export interface SegmentEvent extends Base, Bytes {
  event: "segment"; number: number; from: End; flags: string; seq: number; ack: number; len: number; window: number;
  seq_raw: number; ack_raw: number; options?: Options; notes?: string[]; again_of?: number; repeat?: number;
  states?: { a?: string; b?: string }; guessed?: End[]; fate?: Fate; reset_cause?: string; arrived_ns?: number; rtt_ns?: number;
}
export interface DatagramEvent extends Base, Bytes {
  event: "datagram"; number: number; from: End; len: number; notes?: string[]; fate?: Fate; arrived_ns?: number;
}
export interface IcmpEvent extends Base {
  event: "icmp"; to: End; type: number; code: number; sender?: string; about_number?: number; mtu?: number; words?: string;
}
export interface HandshakeEvent extends Base {
  event: "handshake"; layer: string; end: End; result: number; error?: string; start_ns?: number; agreed?: string;
}
export interface MessageEvent extends Base, Bytes {
  event: "message"; kind: string; from: End; end?: End; number?: number; len?: number; compressed?: boolean; joined?: boolean;
  code?: number; rtt_ns?: number; about_number?: number; at_byte?: number; words?: string;
}
export interface StateEvent extends Base { event: "state"; end: End; before: string; after: string }
export interface ValuesEvent extends Base {
  event: "values"; end: End; changed?: string[]; [value: string]: unknown;
}
export interface SentenceEvent extends Base { event: "sentence"; mark: string; name?: string; sentence: string; about_number?: number }
export interface LossEvent extends Base { event: "loss"; what?: string; n: number; why?: string }
// Not of sonde-events: what the feed says of events that did not come. It stands where they would.
export interface GapEvent extends Base { event: "gap"; words: string }

export type LadderEvent =
  | ConnectionEvent | CallEvent | SegmentEvent | DatagramEvent | IcmpEvent | HandshakeEvent | MessageEvent | StateEvent
  | ValuesEvent | SentenceEvent | LossEvent | GapEvent;

const ends: Record<string, string> = {
  call: "end", segment: "from", datagram: "from", icmp: "to", handshake: "end", message: "from", state: "end", values: "end",
};
const others = new Set(["connection", "sentence", "loss", "gap"]);
const isEnd = (value: unknown): value is End => value === "a" || value === "b";
// Without these nothing can be drawn of it.
const numbers: Record<string, string[]> = {
  segment: ["number", "seq", "ack", "len", "window"], datagram: ["number", "len"], call: ["number"], loss: ["n"],
};
const texts: Record<string, string> = { segment: "flags", call: "call", sentence: "sentence", state: "after" };

// null: not one that the ladder knows, or not whole.
export function ladderEvent(event: SondeEvent): LadderEvent | null {
  const kind = event.event;
  if (typeof event.t_ns !== "number") return null;
  const end = ends[kind];
  if (end === undefined && !others.has(kind)) return null;
  if (end !== undefined && !isEnd(event[end])) return null;
  if ((numbers[kind] ?? []).some((name) => typeof event[name] !== "number")) return null;
  const text = texts[kind];
  if (text !== undefined && typeof event[text] !== "string") return null;
  return event as unknown as LadderEvent;
}

const encoder = new TextEncoder();

// The first bytes of a payload; null: none are known.
export function bytesOf(event: Bytes): Uint8Array | null {
  if (typeof event.text === "string") return encoder.encode(event.text);
  if (typeof event.base64 !== "string") return null;
  try {
    return fromBase64(event.base64);
  } catch {
    return null;
  }
}

export const has = (event: { notes?: string[] }, note: string): boolean => event.notes?.includes(note) ?? false;
export const isCopy = (event: { notes?: string[] }): boolean => has(event, "retransmission") || has(event, "syn-retry");

const classes: Record<string, StateClass> = {
  SYN_SENT: "half", SYN_RECV: "half", ESTABLISHED: "open", FIN_WAIT_1: "shut", FIN_WAIT_2: "shut", CLOSE_WAIT: "shut",
  CLOSING: "shut", LAST_ACK: "shut", TIME_WAIT: "wait",
};
export const stateClass = (state: string): StateClass => classes[state] ?? "none";
