// SPDX-License-Identifier: MIT
// Throughput, RTT, cwnd and queues over one time axis. The current value stands beside each as text; what the line tells
// is said to those who do not see it. uPlot draws on canvas, without animation.
import uPlot from "uplot";
import type { App, Create, View } from "../app";
import { el, setText } from "../dom";
import type { Row, ServerMessage } from "../types";
import { columns, PointStore, short, summary, type Columns } from "./plots_data";
import "./plots.css";

interface Line { key: Exclude<keyof Columns, "x">; name: string; color: string; dash?: number[] }
interface Kind { title: string; unit: string; spoken: string; lines: Line[]; stepped?: boolean; least: number }

// Lines of one plot differ by their dashes, not by colour alone.
const kinds: Kind[] = [
  { title: "Throughput", unit: "B/s", spoken: "bytes per second", least: 10,
    lines: [{ key: "out", name: "out", color: "--open" }, { key: "in", name: "in", color: "--kern", dash: [4, 3] }] },
  { title: "RTT", unit: "ms", spoken: "milliseconds", least: 0.1, lines: [{ key: "rtt", name: "RTT", color: "--kern" }] },
  { title: "cwnd", unit: "segments", spoken: "segments", least: 4, stepped: true, lines: [{ key: "cwnd", name: "cwnd", color: "--kern" }] },
  { title: "Queues", unit: "bytes", spoken: "bytes", least: 10, stepped: true,
    lines: [{ key: "sendQ", name: "Send-Q", color: "--trouble" }, { key: "unsent", name: "unsent", color: "--shut", dash: [2, 2] },
      { key: "recvQ", name: "Recv-Q", color: "--open", dash: [5, 3] }] },
];
const spans: [string, number][] = [["10 s", 10], ["60 s", 60], ["all", Infinity]];
const HEIGHT = 46, AXIS = 20, EVERY_MS = 200;

const tokens = new Map<string, string>();
const color = (name: string): string => {
  let value = tokens.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    tokens.set(name, value);
  }
  return value;
};

// A dash as it is in the plot: which line is which.
function sample(line: Line): HTMLElement {
  const pattern = line.dash ? line.dash[0]! > 3 ? "dashed" : "dotted" : "solid";
  return el("span", { class: `sample ${pattern} c${line.color}`, "aria-hidden": "true" });
}

class Plot {
  readonly root: HTMLElement;
  private readonly holder = el("div", { class: "plot-canvas", role: "img" });
  private readonly outputs: HTMLElement[];
  private readonly top = el("span", { class: "plot-top mute" });
  private chart: uPlot | null = null;
  private shown: Columns | null = null;
  private said = 0;

  constructor(private readonly kind: Kind, private readonly isLast: boolean) {
    this.outputs = kind.lines.map(() => el("span", { class: "plot-value" }, "?"));
    const single = kind.lines.length === 1;
    const keys = kind.lines.map((line, i) => el("span", { class: "plot-key" }, !single && sample(line),
      el("span", { class: "mute" }, single ? kind.unit : line.name), this.outputs[i]));
    this.root = el("figure", { class: "plot" },
      el("figcaption", null, el("span", null, kind.title, " ", !single && el("span", { class: "mute" }, kind.unit)), ...keys),
      el("div", { class: "plot-box" }, this.holder, this.top));
    this.holder.style.height = `${HEIGHT + (isLast ? AXIS : 0)}px`; // its room, before it is there
  }

  get isMade(): boolean { return this.chart !== null; }

  make(onCursor: (index: number | null) => void): void {
    this.chart = new uPlot(this.options(this.holder.clientWidth || 200, onCursor), this.data(null), this.holder);
  }

  private options(width: number, onCursor: (index: number | null) => void): uPlot.Options {
    const paths = this.kind.stepped ? uPlot.paths.stepped!({ align: 1 }) : uPlot.paths.linear!();
    return {
      width, height: HEIGHT + (this.isLast ? AXIS : 0), legend: { show: false }, padding: [8, 14, this.isLast ? 0 : 2, 14],
      scales: { x: { time: false, auto: false, range: (_u, from, to) => [from, to] },
        y: { range: (_u, _least, most) => [0, Math.max(this.kind.least, (most ?? 0) * 1.08)] } },
      axes: [{ show: this.isLast, size: AXIS, stroke: () => color("--mute"), font: "10px sans-serif", grid: { show: false },
        ticks: { stroke: () => color("--hair"), size: 4 }, gap: 2, values: (_u, marks) => marks.map((s) => (s === 0 ? "now" : `${s} s`)) },
      { show: true, size: 0, grid: { stroke: () => color("--hair"), width: 1 }, ticks: { show: false }, splits: () => [0], values: () => [""] }],
      series: [{}, ...this.kind.lines.map((line): uPlot.Series => ({
        stroke: () => color(line.color), width: 1.6, paths, points: { show: false }, spanGaps: false, ...(line.dash ? { dash: line.dash } : {}),
      }))],
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "sonde", setSeries: false } },
      hooks: { setCursor: [(u) => { onCursor(u.cursor.idx ?? null); }] },
    };
  }

  private data(shown: Columns | null): uPlot.AlignedData {
    return [shown?.x ?? [], ...this.kind.lines.map((line) => shown?.[line.key] ?? [])];
  }

  show(shown: Columns, from: number, now: number): void {
    this.shown = shown;
    const chart = this.chart;
    chart?.batch(() => {
      chart.setData(this.data(shown), false);
      chart.setScale("x", { min: from, max: 0 });
    });
    this.values(null);
    const most = Math.max(0, ...this.kind.lines.map((line) => summary(shown[line.key]).most ?? 0));
    setText(this.top, most > 0 ? short(most) : "");
    if (now - this.said < 1000) return; // what it says is for ears: once a second is enough
    this.said = now;
    this.holder.setAttribute("aria-label", this.words(shown));
  }

  private words(shown: Columns): string {
    const each = this.kind.lines.map((line) => {
      const { last, least, most } = summary(shown[line.key]);
      const name = this.kind.lines.length > 1 ? `${line.name} ` : "";
      return last === null ? `${name}not known` : `${name}${short(last)} ${this.kind.spoken}, least ${short(least)}, most ${short(most)}`;
    });
    return `${this.kind.title}: ${each.join("; ")}`;
  }

  // Of now, or under the cursor.
  values(index: number | null): void {
    this.kind.lines.forEach((line, i) => {
      const values = this.shown?.[line.key] ?? [], output = this.outputs[i]!;
      setText(output, short(index === null ? summary(values.slice(-20)).last : values[index] ?? null));
      output.classList.toggle("past", index !== null);
    });
  }

  resize(width: number): void { this.chart?.setSize({ width, height: HEIGHT + (this.isLast ? AXIS : 0) }); }
  repaint(): void { this.chart?.redraw(false); }
}

class Plots implements View {
  private readonly store = new PointStore();
  private readonly box = el("div", { class: "plots" });
  private readonly note = el("p", { class: "mute" }, "No values of it are known yet.");
  private readonly buttons: HTMLButtonElement[];
  private plots: Plot[] = [];
  private seconds = 10;
  private row: number | null = null;
  private timer = 0;
  private last = 0;
  private shown: Columns | null = null;
  private index: number | null = null;
  private width = 0; // 0: the connection is hidden

  constructor(root: HTMLElement, private readonly app: App) {
    this.buttons = spans.map(([name, seconds]) => el("button", { type: "button", "aria-pressed": String(seconds === this.seconds),
      click: () => { this.choose(seconds); } }, name));
    root.append(el("div", { class: "bar plot-bar" }, el("h3", null, "Over time"),
      el("div", { class: "seg-ctl", role: "group", "aria-label": "how far back" }, ...this.buttons)), this.note, this.box);
    new ResizeObserver(() => { this.measured(); }).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      tokens.clear();
      for (const plot of this.plots) plot.repaint();
    });
  }

  private choose(seconds: number): void {
    this.seconds = seconds;
    this.buttons.forEach((button, i) => { button.setAttribute("aria-pressed", String(spans[i]![1] === seconds)); });
    this.app.draw(this);
  }

  message(message: ServerMessage): void {
    if (message.kind !== "points" || message.id !== this.app.row?.id) return;
    this.store.take(message.points);
    if (this.timer) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.app.draw(this);
    }, Math.max(0, this.last + EVERY_MS - performance.now()));
  }

  opened(row: Row | null): void {
    if (row?.id === this.row) return;
    this.row = row?.id ?? null;
    this.store.clear();
    this.app.draw(this);
  }

  resized(): void { this.measured(); }

  private measured(): void {
    const before = this.width;
    this.width = this.box.clientWidth;
    if (before === 0 && this.width > 0) this.app.draw(this);
    const holder = this.box.querySelector(".plot-box");
    if (holder instanceof HTMLElement && holder.clientWidth > 0) for (const plot of this.plots) plot.resize(holder.clientWidth);
  }

  // Made when there is room to measure: not while the connection is hidden. One a frame: each takes some milliseconds, and
  // the first comes when the browser has laid out what is new here.
  private make(): boolean {
    if (this.plots.length === 0) {
      this.plots = kinds.map((kind, i) => new Plot(kind, i === kinds.length - 1));
      this.box.append(...this.plots.map((plot) => plot.root));
      this.app.draw(this);
      return false;
    }
    if (this.width === 0) return false;
    this.plots.find((plot) => !plot.isMade)?.make((index) => { this.cursor(index); });
    if (!this.plots.every((plot) => plot.isMade)) this.app.draw(this);
    return true;
  }

  // Each plot hears of the cursor, and so tells all of it: the outputs are set once.
  private cursor(index: number | null): void {
    if (index === this.index) return;
    this.index = index;
    for (const plot of this.plots) plot.values(index);
  }

  frame(now: number): void {
    const points = this.store.points, isKnown = points.length > 0;
    this.note.hidden = isKnown;
    if (!isKnown && this.plots.length === 0) return;
    if (!this.make()) return;
    this.last = now;
    this.shown = columns(points, this.seconds);
    const from = Number.isFinite(this.seconds) ? -this.seconds : Math.min(-1, this.shown.x[0] ?? -1);
    for (const plot of this.plots) plot.show(this.shown, from, now);
    if (this.index !== null) for (const plot of this.plots) plot.values(this.index);
  }
}

export const create: Create = (root, app) => new Plots(root, app);
