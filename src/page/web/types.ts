// SPDX-License-Identifier: MIT
// What goes over the feed, as sonde-page(7) describes it.

export interface Named { brief: string | null; verdict: string | null }

export interface Listener extends Named {
  id: number; address: string; note: string | null; protocol: string; owner: string | null;
  queue: number | null; limit: number | null; full: boolean; half_open: number | null; dropped: number | null;
}

export type StateClass = "none" | "half" | "open" | "shut" | "wait";
export type Ability = "send" | "half-close" | "kick";

export interface Row extends Named {
  id: number; local: string; peer: string; protocol: string; layers: string | null; note: string | null;
  state: string; class: StateClass; recv_q: number | null; send_q: number | null; rtt_us: number | null;
  in: number | null; out: number | null; in_per_s: number | null; out_per_s: number | null; age_ms: number | null;
  timer: { name: string; ms: number; n: number } | null; owner: string | null; trouble: boolean; ended: boolean;
  can: Ability[]; trace: number | null; n_messages: number; messages_kind: "bytes" | "messages";
}

// verdict: of this machine as a whole, which is neither a row nor a listener
export interface Attention { row: number | null; listener: number | null; who: string; brief: string; verdict?: string }
// rows: some are not in the table; of how many events one is sent (of the connection that is open), of how many
// connections events are kept of one.
export interface Sampled { rows: boolean; events_one_in: number; connections_one_in: number; why: string }

// How it stands with the one connection that `sonde connect` is about; over: why there is none (any more).
export interface Talk { state: "connecting" | "connected" | "over"; why: string | null }

export interface Welcome {
  kind: "welcome"; re: number; version: string; verb: string; title: string; rights: string[]; read_only: boolean;
  client_urls: string[]; no_packets: string | null; talk: Talk | null; t_ns: number; wall_ms: number;
  limits: { message_bytes: number; send_bytes: number; ladder_events_per_s: number };
}
export interface Overview {
  kind: "overview"; t_ns: number; connections: number; shown: number; events_per_s: number; attention: Attention[];
  sampled: Sampled | null; missed: number; no_packets?: string | null; talk?: Talk | null; // these two: only when changed
  listeners: Listener[]; rows: Row[];
}

// An event of sonde-events(7). Only what all have is named; views know more of the kinds that they draw.
export interface SondeEvent { event: string; t_ns: number; conn?: number; [member: string]: unknown }

export interface Message {
  n: number; way: "in" | "out"; t_ns: number; bytes: number; data: string; text: boolean; message: boolean; cut: boolean;
  by?: "page";
}

export interface Opened { kind: "opened"; re: number; row: Row }
export interface RowNews { kind: "row"; row: Row }
export interface Events {
  kind: "events"; id: number; first?: boolean; events: SondeEvent[]; lost: number; left_out: number; one_in: number;
}
export interface Messages { kind: "messages"; id: number; messages: Message[]; lost: number; lost_bytes: number }
// t_ns, bytes in, bytes out, rtt in us, cwnd in segments, Recv-Q, Send-Q, unsent, retransmits
export type Point = [number, ...(number | null)[]];
export interface Points { kind: "points"; id: number; points: Point[] }
export interface Result {
  kind: "result"; re: number; ok: boolean; error?: string; busy?: boolean; sent?: number; queued?: number; repeat?: number;
}
export interface Repeat {
  repeat: number; id: number; every_ms: number; sent: number; skipped?: number; count: number; error: string | null; over?: boolean;
}
export interface Repeats { kind: "repeats"; repeats: Repeat[] }
export interface Layers { kind: "layers"; re: number; id: number; segment: number; packet: Record<string, unknown> }

export interface Claim { id: string; claim: string }
export interface Experiment {
  name: string; chapter: string; title: string; claims: Claim[]; systems: string | null; question: string;
  choices: string[]; milliseconds: number;
}
export interface Experiments { kind: "experiments"; re: number; experiments: Experiment[]; needs: string | null }
export interface Running { kind: "running"; name: string | null } // null: none any more
export type Evidence =
  | { kind: "paragraph" | "footnote" | "layers"; text: string }
  | { kind: "table"; heads: string[]; rows: string[][]; numeric: boolean[] }
  | { kind: "ladder"; caption: string | null; svg: string; text: string }
  | { kind: "plot"; title: string; svg: string };
export interface LabReport {
  name: string; chapter: string; title: string; done: string; question: string; choices: string[];
  prediction: string | null; answer: string | null; outcome: string | null; failed: boolean;
  claims: (Claim & { verdict: "TRUE" | "FALSE" | "IT DEPENDS" | "NOT SHOWN HERE"; sentence: string })[];
  evidence: Evidence[]; settings: { name: string; value: string; machine: string | null }[]; by_hand: string; read: string;
  ms: number;
}
export interface ReportMessage { kind: "report"; re: number; name: string; report: LabReport }
export interface Bye { kind: "bye"; why: string }

export type ServerMessage =
  | Welcome | Overview | Opened | RowNews | Events | Messages | Points | Result | Repeats | Layers | Experiments | Running
  | ReportMessage | Bye;

// A piece of what is sent (sonde-page(7), send).
export type Part = { data: string } | { counter: number } | { time: "iso" | "unix" | "unix_ms" } | { random: number };

export type Command =
  | { do: "hello"; token: string } | { do: "open"; id: number } | { do: "close" } | { do: "filter"; text: string }
  | { do: "rows"; max: number } | { do: "pause" } | { do: "resume" }
  | { do: "send"; id: number; parts: Part[]; text: boolean; every_ms: number; count: number }
  | { do: "stop"; repeat: number } | { do: "half-close"; id: number } | { do: "kick"; id: number }
  | { do: "connect" } | { do: "layers"; id: number; segment: number } | { do: "experiments" }
  | { do: "run"; name: string; prediction: string | null };

export type Answer = Welcome | Opened | Result | Layers | Experiments | ReportMessage;
