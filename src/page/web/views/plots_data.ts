// SPDX-License-Identifier: MIT
// The points of the opened connection, as the plots need them. Pure.
import type { Point } from "../types";
import { count } from "../dom";

export const POINTS_MOST = 2400; // four minutes at ten a second; of what is older every other one goes
type Value = number | null;

// Their places in a point; its time is the first.
const IN = 1, OUT = 2, RTT = 3, CWND = 4, RECV_Q = 5, SEND_Q = 6, UNSENT = 7;

export class PointStore {
  points: Point[] = [];

  clear(): void { this.points = []; }

  take(news: Point[]): void {
    const last = this.points[this.points.length - 1]?.[0] ?? -Infinity;
    for (const point of news) if (typeof point[0] === "number" && point[0] > last) this.points.push(point);
    if (this.points.length <= POINTS_MOST) return;
    const half = Math.floor(this.points.length / 2);
    this.points = [...this.points.slice(0, half).filter((_, i) => i % 2 === 0), ...this.points.slice(half)];
  }
}

const at = (point: Point, i: number): Value => point[i] ?? null;

// Bytes a second since the point before; null where that is not known.
function rate(points: Point[], i: number, which: number): Value {
  const point = points[i], before = points[i - 1];
  if (!point || !before) return null;
  const is = at(point, which), was = at(before, which), seconds = (point[0] - before[0]) / 1e9;
  return is === null || was === null || seconds <= 0 || is < was ? null : (is - was) / seconds;
}

export interface Columns { x: number[]; in: Value[]; out: Value[]; rtt: Value[]; cwnd: Value[]; recvQ: Value[]; sendQ: Value[]; unsent: Value[] }

// The last so many seconds (Infinity: all), with the point before them, so that the line comes in from the left. x: seconds,
// 0 is the newest point.
export function columns(points: Point[], seconds: number): Columns {
  const end = points[points.length - 1]?.[0] ?? 0;
  let from = points.findIndex((point) => (end - point[0]) / 1e9 <= seconds);
  from = Math.max(0, from - 1);
  const shown = points.slice(from), of = (which: number): Value[] => shown.map((point) => at(point, which));
  return {
    x: shown.map((point) => (point[0] - end) / 1e9),
    in: shown.map((_, i) => rate(points, from + i, IN)), out: shown.map((_, i) => rate(points, from + i, OUT)),
    rtt: of(RTT).map((us) => (us === null ? null : us / 1000)), cwnd: of(CWND), recvQ: of(RECV_Q), sendQ: of(SEND_Q), unsent: of(UNSENT),
  };
}

export interface Summary { last: Value; least: Value; most: Value }

export function summary(values: Value[]): Summary {
  let least: Value = null, most: Value = null, last: Value = null;
  for (const value of values) {
    if (value === null) continue;
    last = value;
    if (least === null || value < least) least = value;
    if (most === null || value > most) most = value;
  }
  return { last, least, most };
}

// Short enough for its column: "3,656", "64.1k", "1.2M".
export function short(value: Value): string {
  if (value === null) return "?";
  const size = Math.abs(value);
  if (size >= 99950) return size >= 999.5e6 ? `${Number((value / 1e9).toPrecision(3))}G`
    : size >= 999500 ? `${Number((value / 1e6).toPrecision(3))}M` : `${Number((value / 1e3).toPrecision(3))}k`;
  return size >= 100 || Number.isInteger(value) ? count(Math.round(value)) : String(Number(value.toPrecision(3)));
}
