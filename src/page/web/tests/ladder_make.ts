// SPDX-License-Identifier: MIT
// Events for the ladder's tests: a connection as it would be seen at both ends, one way taking 5 ms.
import type { Events, SondeEvent } from "../types";
import { ladderEvent, type LadderEvent } from "../views/ladder_events";

export const MS = 1e6;
export const FLIGHT = 5 * MS;

export const connection = (more: object = {}): SondeEvent => ({
  event: "connection", t_ns: 0, conn: 1, protocol: "tcp", has_segments: true,
  a: { address: "10.0.0.1:40488", role: "client", state: "CLOSED", captured_here: true, pid: 4121, program: "nc" },
  b: { address: "10.0.0.2:7007", role: "server", state: "LISTEN", captured_here: true, pid: 4098, program: "sonde" }, ...more,
});

export const segment = (number: number, from: "a" | "b", ms: number, flags: string, more: object = {}): SondeEvent => ({
  event: "segment", t_ns: ms * MS, conn: 1, number, from, flags, seq: 1, ack: 1, len: 0, window: 65536, seq_raw: 1001, ack_raw: 2001,
  notes: [], states: { a: "ESTABLISHED", b: "ESTABLISHED" }, fate: "arrived", arrived_ns: ms * MS + FLIGHT, ...more,
});

export const sound = (events: SondeEvent[]): LadderEvent[] =>
  events.map(ladderEvent).filter((event): event is LadderEvent => event !== null);

export const feed = (events: SondeEvent[], more: Partial<Events> = {}): Events =>
  ({ kind: "events", id: 1, events, lost: 0, left_out: 0, one_in: 1, ...more });

export const handshake = (): SondeEvent[] => [
  connection(),
  segment(1, "a", 0, "S", { seq: 0, ack: 0, window: 64240, options: { mss: 1460, window_scale: 10, ts_value: 1, sack_permitted: true },
    states: { a: "SYN_SENT", b: "SYN_RECV" } }),
  segment(2, "b", 5, "S.", { seq: 0, window: 65160, options: { mss: 1460 }, states: { a: "ESTABLISHED", b: "SYN_RECV" } }),
  segment(3, "a", 10, ".", { window: 64512 }),
];

// One message lost, and lost again, repaired by the timer.
export const lossThrice = (): SondeEvent[] => [
  ...handshake(),
  segment(4, "a", 11, "P.", { len: 5, text: "hello", fate: "lost", arrived_ns: undefined }),
  segment(5, "a", 223, "P.", { len: 5, text: "hello", fate: "lost", arrived_ns: undefined, notes: ["retransmission", "tail-probe"],
    again_of: 4, repeat: 1 }),
  segment(6, "a", 435, "P.", { len: 5, text: "hello", notes: ["retransmission", "rto"], again_of: 4, repeat: 2 }),
  segment(7, "b", 440, ".", { ack: 6 }),
];
