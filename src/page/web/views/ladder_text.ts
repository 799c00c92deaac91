// SPDX-License-Identifier: MIT
// Times, calls, values and payloads in the words of the ladder in the terminal (sonde-trace(1)). Pieces of text keep apart
// what sonde says from what was written as an escape because it could not be seen.
import { pieces as escaped } from "../bytes";
import { count } from "../dom";
import { bytesOf, type CallEvent, type HandshakeEvent, type IcmpEvent, type MessageEvent, type ValuesEvent } from "./ladder_events";

export interface Piece { text: string; cls?: string }

export const plain = (text: string, cls?: string): Piece[] => (text === "" ? [] : [cls ? { text, cls } : { text }]);
export const textOf = (pieces: Piece[]): string => pieces.map((piece) => piece.text).join("");

const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const ascii = /^[\x20-\x7e]*$/;

export function cells(text: string): number {
  if (ascii.test(text)) return text.length;
  let n = 0;
  for (const character of text) n += wide.test(character) ? 2 : 1;
  return n;
}
export const cellsOf = (pieces: Piece[]): number => pieces.reduce((n, piece) => n + cells(piece.text), 0);

// Cut to so many cells, with "…" when something went. An escape stays whole, or goes.
export function cut(pieces: Piece[], room: number): Piece[] {
  if (cellsOf(pieces) <= room) return pieces;
  const kept: Piece[] = [];
  let left = Math.max(0, room - 1);
  for (const piece of pieces) {
    let text = "";
    for (const unit of units(piece)) {
      const n = cells(unit);
      if (n > left) {
        kept.push({ ...piece, text });
        return [...kept.filter((each) => each.text !== ""), { text: "…" }];
      }
      text += unit;
      left -= n;
    }
    kept.push(piece);
  }
  return kept;
}

function units(piece: Piece): string[] {
  return piece.cls === "esc" ? piece.text.match(/\\(?:x[0-9a-f]{2}|u\{[0-9a-f]+\}|.)|./gsu) ?? [] : [...piece.text];
}

// What a program or peer wrote: escapes in their own colour.
export function foreign(bytes: Uint8Array): Piece[] {
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return bytes.length > 0 ? [{ text: String.fromCharCode(...bytes) }] : [];
  return escaped(bytes).filter((piece) => piece.n > 0)
    .map((piece) => (piece.escape ? { text: piece.text, cls: "esc" } : { text: piece.text }));
}
const encoder = new TextEncoder();
export const foreignText = (text: string): Piece[] => (ascii.test(text) ? plain(text) : foreign(encoder.encode(text)));

// ---- times

// Three digits in all; zeros behind the point say nothing and go.
export function digits(value: number): string {
  const behind = value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 3;
  return String(Number(value.toFixed(behind)));
}

// "7 us", "5.08 ms", "212 ms", "60.1 s"
export function span(ns: number): string {
  const sign = ns < 0 ? "-" : "", size = Math.abs(ns);
  if (size < 1000 && size > 0) return `${sign}${Math.round(size)} ns`;
  if (size < 999500) return `${sign}${digits(size / 1e3)} us`;
  if (size < 999.5e6) return `${sign}${digits(size / 1e6)} ms`;
  return `${sign}${digits(size / 1e9)} s`;
}

// In the margin: ms, with three digits behind the point as long as there is room for them.
export function marginTime(ns: number): string {
  if (ns < 0) return span(ns);
  const ms = ns / 1e6;
  if (ms < 1000) return (Math.floor(ns / 1e3) / 1e3).toFixed(3);
  return ms < 100000 ? (Math.floor(ns / 1e5) / 10).toFixed(1) : count(Math.floor(ms));
}

// ---- payload

const records = ["TLS change cipher", "TLS alert", "TLS handshake", "TLS data"];

// Records of TLS (RFC 8446, 5.1) are told by their header; what is in them is nobody's to read here.
export function tlsRecord(bytes: Uint8Array): string | null {
  const [type = 0, major, minor = 255, high = 0, low = 0] = bytes;
  const n = high << 8 | low;
  if (bytes.length < 5 || type < 20 || type > 23 || major !== 3 || minor > 4 || n === 0 || n > 16384 + 256) return null;
  return records[type - 20] ?? null;
}

const PREVIEW_LEAST = 9;

// `"hello\n"`, in so many cells with its quotes; nothing where that is too few.
export function preview(bytes: Uint8Array | null, total: number, room: number): Piece[] {
  if (!bytes || bytes.length === 0 || room < 3) return [];
  const record = tlsRecord(bytes);
  if (record) return record.length <= room ? plain(record) : [];
  const shown = foreign(bytes.subarray(0, 64));
  const inside = room - 2, isCut = Math.min(bytes.length, 64) < total;
  let inner = shown;
  if (cellsOf(shown) + (isCut ? 1 : 0) > inside) {
    if (room < PREVIEW_LEAST) return [];
    inner = cut([...shown, { text: " ".repeat(inside) }], inside);
  } else if (isCut) inner = [...shown, { text: "…" }];
  return [{ text: "\"" }, ...inner, { text: "\"" }];
}

// ---- calls

const PREVIEW_CALL = 24;

function callHead(call: CallEvent): string {
  if (call.fd === undefined || call.fd < 0) return `${call.call}()`;
  return call.call === "send" && ((call.bytes ?? 0) > 0 || call.result === 0) ? `send(${call.fd}, ${call.bytes ?? 0})`
    : `${call.call}(${call.fd})`;
}

// "= 5", "= ECONNREFUSED", "= 0 end"
export function callResult(call: CallEvent): string {
  const result = call.result ?? 0;
  if (result < 0) return `= ${call.error ?? result}`;
  return call.call === "recv" && result === 0 && !call.datagram ? "= 0 end" : `= ${result}`;
}

function withPreview(call: CallEvent, text: string, room: number): Piece[] {
  const bytes = bytesOf(call);
  const left = room - cells(text) - 1;
  if (call.call !== "recv" || (call.result ?? 0) <= 0 || !bytes || tlsRecord(bytes) || left < 7) return plain(text);
  return [{ text: `${text} ` }, ...preview(bytes, call.result ?? 0, Math.min(left, PREVIEW_CALL))];
}

// Arguments go before the result does.
export function callText(call: CallEvent, part: "begin" | "end" | "whole", room: number): Piece[] {
  const head = callHead(call), name = `${call.call}()`, result = callResult(call);
  const fits = (one: string, less: string): string => (cells(one) <= room ? one : less);
  if (part === "begin") return cut(plain(fits(head, name)), room);
  if (part === "end") return withPreview(call, cut(plain(result), room)[0]?.text ?? "", room);
  return withPreview(call, textOf(cut(plain(fits(`${head} ${result}`, `${name} ${result}`)), room)), room);
}

// ---- values

// name in JSON, on the ladder, and where room is short. Times in ms, cwnd in segments, queues in bytes.
const values: [string, string, string?][] = [
  ["rto_us", "rto"], ["rtt_us", "rtt"], ["cwnd_segments", "cwnd", "cw"], ["send_queue_bytes", "Send-Q"], ["unsent_bytes", "unsent"],
  ["receive_queue_bytes", "Recv-Q"], ["bytes_acked", "acked"], ["bytes_received", "received"], ["accept_queue", "accept queue", "queue"],
];

function oneValue(event: ValuesEvent, name: string, word: string): string {
  const value = event[name] as number;
  if (name.endsWith("_us")) return `${word} ${digits(Math.max(0, value) / 1000)}`;
  if (name !== "accept_queue") return `${word} ${count(value)}`;
  const limit = event.accept_queue_limit;
  if (typeof limit !== "number") return `${word} ${value}`;
  return `${word} ${value}/${limit}${value > limit ? " full" : ""}`;
}

export function valuesText(event: ValuesEvent, room: number, leaveOut: string[] = []): string {
  const list = (short: boolean): string[] => {
    const words: string[] = [];
    let n = 0;
    for (const [name, word, less] of values) {
      if (!event.changed?.includes(name) || typeof event[name] !== "number" || leaveOut.includes(name)) continue;
      const one = oneValue(event, name, (short && less) || word);
      n += one.length + (words.length > 0 ? 1 : 0);
      if (short && n > room) break;
      words.push(one);
    }
    return words;
  };
  const all = list(false).join(" ");
  return all.length <= room ? all : list(true).join(" ");
}

// ---- what is spoken above

const layerNames: Record<string, string> = { tls: "TLS", websocket: "WebSocket", http: "HTTP" };

export function handshakeText(event: HandshakeEvent): string {
  const layer = layerNames[event.layer] ?? "HTTP";
  const took = event.start_ns !== undefined && event.start_ns <= event.t_ns ? span(event.t_ns - event.start_ns) : null;
  if (event.result >= 0) return took ? `${layer} handshake, ${took}` : `${layer} handshake`;
  return `${layer} handshake: ${event.error ?? event.result}${took ? ` after ${took}` : ""}`;
}

// Those that one segment completes are told together.
export interface Messages { first: MessageEvent; n: number; last: number; bytes: number }

export function joinMessage(messages: Messages, next: MessageEvent): boolean {
  const first = messages.first;
  if (first.kind !== "message" || next.kind !== "message" || first.end || next.end || first.from !== next.from ||
      !first.about_number || first.about_number !== next.about_number || next.joined || next.number !== messages.last + 1)
    return false;
  messages.n++;
  messages.last++;
  messages.bytes += next.len ?? 0;
  return true;
}

const NO_CODE = 1005;

function ownMessage(message: MessageEvent, room: number): Piece[] {
  const bytes = bytesOf(message);
  let head = message.kind, total = message.len ?? 0;
  if (message.kind === "close" && message.code && message.code !== NO_CODE) {
    head += ` ${message.code}`;
    total = bytes && bytes.length < total ? total - 2 : bytes?.length ?? 0;
  } else if (message.kind !== "close") head += ` ${count(total)}`;
  let tail = message.compressed ? ", compressed" : "";
  if (message.rtt_ns) tail += `, rtt ${span(message.rtt_ns)}`;
  const shown = preview(bytes, total, Math.min(34, room - head.length - tail.length - 1));
  return [...plain(head), ...(shown.length > 0 ? [{ text: " " }, ...shown] : []), ...plain(tail)];
}

export function messagesText(messages: Messages, room: number): Piece[] {
  const { first, n, last, bytes } = messages;
  if (first.kind === "malformed")
    return [...plain(`no message from byte ${first.at_byte ?? first.len ?? 0} on`),
            ...(first.words ? [{ text: ": " }, ...foreignText(first.words)] : [])];
  if (first.kind !== "message") return ownMessage(first, room);
  const rest = first.joined ? n === 1 ? ", perhaps the rest of a longer one" : ", the first perhaps the rest of a longer one" : "";
  const which = n === 1 ? `message ${first.number ?? "?"} ends here` : `messages ${first.number ?? "?"}-${last} end here`;
  return plain(`${which}, ${count(bytes)} bytes${rest}`);
}

export function icmpText(event: IcmpEvent): string {
  const what = event.words ? `icmp ${event.words}` : `icmp type ${event.type} code ${event.code}`;
  const sender = (event.sender ?? "").replace(/:0$/, "").replace(/^\[(.*)\]$/, "$1");
  return `${what}${sender ? ` from ${sender}` : ""}${event.about_number ? `, about #${event.about_number}` : ""}${
    event.mtu ? `, mtu ${event.mtu}` : ""}`;
}
