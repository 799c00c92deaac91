// SPDX-License-Identifier: MIT
// The columns of the table: what each says of a row, and what it is sorted by.
import { count } from "../dom";
import { age, milliseconds } from "../text";
import type { Row } from "../types";

export interface Column {
  key: string;
  head: string;
  hint: string;           // the head's words, for who wants to know more
  col: string;            // the class of its width
  className: string;      // opt, opt2, wide, narrows: where it is left out
  isNumber: boolean;
  text(row: Row): string;
  value(row: Row): number | string | null;   // null: last, whichever way it is sorted
  raw(row: Row): unknown;                    // what text is made of: the same, then text is the same
  isHot?(row: Row): boolean;
}

const UNKNOWN = "–";
const number = (n: number | null): string => (n === null ? UNKNOWN : n < 1e6 ? count(n) : big(n));

// "1.23 M", "987 M": what has more digits than there is room for.
function big(n: number): string {
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"]] as const)
    if (n >= size) return `${(n / size).toPrecision(n >= 1000 * size ? 4 : 3)} ${letter}`;
  return count(n);
}

export function peerOf(row: Row): string {
  return row.peer || "(no name)";
}

// The timer stands where the verdict would, if there is none: "41 s left" in TIME_WAIT.
export function briefOf(row: Row): string {
  if (row.brief !== null) return row.brief;
  if (row.ended) return "ended";
  const timer = row.timer;
  if (!timer) return "";
  const left = age(timer.ms);
  if (row.class === "wait") return `${left} left`;
  return `${timer.name}${timer.n > 0 ? ` ${timer.n}` : ""}, ${left}`;
}

// Addresses as people order them: 10.0.0.9 before 10.0.0.10, port by port.
function addressValue(address: string): string {
  return address.replace(/\d+/g, (digits) => digits.padStart(6, "0"));
}

function numeric(key: "recv_q" | "send_q" | "in" | "out" | "in_per_s" | "out_per_s", head: string, hint: string,
                 col: string, className: string): Column {
  return { key, head, hint, col, className, isNumber: true, text: (row) => number(row[key]), value: (row) => row[key],
    raw: (row) => row[key] };
}

export const columns: Column[] = [
  { key: "peer", head: "Peer", hint: "the other end", col: "c-peer", className: "", isNumber: false,
    text: peerOf, value: (row) => addressValue(row.peer), raw: (row) => row.peer },
  { key: "local", head: "Local", hint: "this end", col: "c-local", className: "local", isNumber: false,
    text: (row) => row.local, value: (row) => addressValue(row.local), raw: (row) => row.local },
  { key: "state", head: "State", hint: "of this end", col: "c-state", className: "", isNumber: false,
    text: (row) => row.state, value: (row) => row.state, raw: (row) => row.state },
  { ...numeric("recv_q", "Recv-Q", "bytes that came and were not read", "c-q", "opt"),
    isHot: (row) => row.trouble && (row.recv_q ?? 0) > 0 },
  { ...numeric("send_q", "Send-Q", "bytes written that were not acknowledged", "c-q", "opt"),
    isHot: (row) => row.trouble && (row.send_q ?? 0) > 0 },
  { key: "rtt", head: "RTT ms", hint: "round-trip time, as the kernel smoothed it", col: "c-rtt", className: "opt narrows",
    isNumber: true, text: (row) => (row.rtt_us === null ? UNKNOWN : milliseconds(row.rtt_us)), value: (row) => row.rtt_us,
    raw: (row) => row.rtt_us },
  numeric("in", "In", "bytes received", "c-n", "opt narrows bytes"),
  numeric("out", "Out", "bytes sent", "c-n", "opt narrows bytes"),
  numeric("in_per_s", "In/s", "bytes received in a second", "c-rate", "wide"),
  numeric("out_per_s", "Out/s", "bytes sent in a second", "c-rate", "wide"),
  { key: "age", head: "Age", hint: "since it was opened, or first seen", col: "c-age", className: "opt2 narrows",
    isNumber: true, text: (row) => (row.age_ms === null ? UNKNOWN : age(row.age_ms)), value: (row) => row.age_ms,
    raw: (row) => row.age_ms },
  { key: "verdict", head: "Verdict", hint: "what is wrong, or what it waits for", col: "c-verdict", className: "v",
    isNumber: false, text: briefOf, raw: briefOf, value: (row) => (row.trouble ? `0${briefOf(row)}` : `1${briefOf(row) || "~"}`) },
];

export interface Sort { key: string; isDescending: boolean }

function compare(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// sort null: as sonde sent them, those in trouble first.
export function sortRows(rows: Row[], sort: Sort | null): Row[] {
  const column = sort && columns.find(({ key }) => key === sort.key);
  if (!sort || !column) return rows;
  const sign = sort.isDescending ? -1 : 1;
  const keyed = rows.map((row) => ({ row, value: column.value(row) }));
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null) || a.row.id - b.row.id;
    return sign * compare(a.value, b.value) || a.row.id - b.row.id;
  });
  return keyed.map(({ row }) => row);
}

// A head that is chosen again turns the order around, and then leaves it to sonde.
export function nextSort(sort: Sort | null, column: Column): Sort | null {
  if (sort?.key !== column.key) return { key: column.key, isDescending: column.isNumber };
  if (sort.isDescending === column.isNumber) return { key: column.key, isDescending: !column.isNumber };
  return null;
}
