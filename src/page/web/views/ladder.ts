// SPDX-License-Identifier: MIT
// The opened connection's ladder, live. What is kept (ladder_kept.ts) is told (ladder_marks.ts, ladder_fold.ts), laid out
// (ladder_layout.ts, or ladder_list.ts where it is narrow) and drawn (ladder_draw.ts), a few times a second.
//
// Hundreds of marks take longer than a frame has. They are laid out in slices of a few milliseconds, and of the picture
// only what is near the part that is seen is made; the rest follows while nothing else is to be done, the nearest first.
// As long as it grows, what is far from there is left out, since the browser looks at all that there is, each time.
import type { App, Create, View } from "../app";
import { count, el, setText, svg } from "../dom";
import type { Row, ServerMessage } from "../types";
import { Keyed, markers, type Part } from "./ladder_draw";
import { Slices, type Work } from "./ladder_slices";
import { DRAWN, Kept, partOf } from "./ladder_kept";
import { layout, planned, type LayoutOptions } from "./ladder_layout";
import { listLines } from "./ladder_list";
import type { Mark, Story } from "./ladder_marks";
import type { Plan } from "./ladder_shapes";
import { download, pictureFile } from "./ladder_save";
import { Sentences } from "./ladder_said";
import { Chosen } from "./ladder_chosen";
import "./ladder.css";

const LIST_BELOW = 420; // pixels: two life lines and their texts have no room
const EVERY_MS = 200, RARELY_MS = 1500, SHARE = 8; // a picture that takes long is drawn more rarely: an eighth of the time at most
const AROUND = 0.5;   // what is made beside what is seen, as a share of it
const FAR = 3;        // and what stays there, while it grows
const LINES_FIRST = 100, LINES_MORE = 25, PIXELS_MORE = 300;
const CALM_MS = 500;  // then the rest of the picture is made
const ZOOMS = [0.35, 0.5, 0.7, 1, 1.4, 2, 3, 4.5, 7];
const FILE_WIDTH = 900;
const NEAR_END = 24;

class Ladder implements View {
  private readonly kept = new Kept();
  private readonly svg = svg("svg", { class: "ladder", role: "group" });
  private readonly head = svg("svg", { class: "ladder lad-head", "aria-hidden": "true" });
  private readonly list = el("ol", { class: "lad-list", hidden: true });
  private readonly box = el("div", { class: "lad-box", role: "region", "aria-label": "ladder", scroll: () => { this.scrolled(); } });
  private readonly empty = el("p", { class: "mute lad-empty" });
  private readonly where = el("span", { class: "lad-where num" });
  private readonly earlier = el("button", { type: "button", click: () => { this.page(-1); } }, "Earlier");
  private readonly later = el("button", { type: "button", click: () => { this.page(1); } }, "Later");
  private readonly latest = el("button", { type: "button", click: () => { this.toEnd(); } }, "Newest");
  private readonly raw = el("input", { type: "checkbox", change: () => { this.again(); } });
  private readonly folds = el("input", { type: "checkbox", checked: true, change: () => { this.again(); } });
  private readonly items: Keyed;
  private readonly headItems: Keyed;
  private readonly lines: Keyed;
  private readonly said: Sentences;
  private readonly chosen: Chosen;
  private zoom = 3;
  private width = 0;
  private until: number | null = null; // what is drawn ends here; null: with the newest
  private follows = true;
  private last = 0;
  private timer = 0;
  private top = 0;          // where the box is scrolled to, and its height: known without a layout
  private seenHeight = 0;
  private plan: Plan | null = null;
  private made: Part = { top: 0, bottom: 0 };
  private told: { story: Story; shown: Mark[] } | null = null; // as it stands in the list
  private linesMade = 0;
  private firstLine = -1;
  private readonly slices: Slices;
  private row: Row | null = null;
  private why: string | null = null; // nothing is seen of this row
  private flight = 0;
  private drawnMarks: Mark[] = [];

  constructor(root: HTMLElement, private readonly app: App) {
    const layer = svg("g"), headLayer = svg("g");
    this.svg.append(markers(), layer);
    this.head.append(headLayer);
    this.items = new Keyed(layer);
    this.headItems = new Keyed(headLayer);
    this.lines = new Keyed(this.list);
    this.box.append(this.svg, this.list);
    this.said = new Sentences();
    this.chosen = new Chosen(this.box, app, (edge) => { this.reveal(edge); });
    this.slices = new Slices(() => { app.draw(this); });
    root.classList.add("lad");
    root.append(this.tools(), this.head, this.box, this.empty, this.said.root);
    this.empty.hidden = true;
    new ResizeObserver(() => { this.measured(); }).observe(root);
  }

  private tools(): HTMLElement {
    const zoom = (by: number): (() => void) => () => {
      this.zoom = Math.max(0, Math.min(ZOOMS.length - 1, this.zoom + by));
      this.again();
    };
    return el("div", { class: "lad-tools" },
      el("span", { class: "lad-zoom" }, el("button", { type: "button", "aria-label": "zoom in", click: zoom(1) }, "+"),
        el("button", { type: "button", "aria-label": "zoom out", click: zoom(-1) }, "−")),
      el("label", null, this.raw, "raw numbers"), el("label", null, this.folds, "fold repeats"),
      el("button", { type: "button", click: () => { this.save(); } }, "Save SVG"),
      el("span", { class: "lad-pages" }, this.where, this.earlier, this.later, this.latest));
  }

  message(message: ServerMessage): void {
    if (message.kind === "welcome" || (message.kind === "overview" && message.no_packets !== undefined)) {
      this.said.noPackets(message.no_packets ?? null);
      this.soon();
    }
    if (message.kind === "result" && message.re === 0 && message.error) { // nobody has asked: sonde says it by itself
      this.why = message.error;
      this.app.say(message.error);
    }
    if (message.kind !== "events" || message.id !== this.app.row?.id) return;
    this.kept.take(message);
    if (message.first) this.toEnd();
    this.soon();
  }

  opened(row: Row | null): void {
    if (row?.id === this.row?.id) return;
    this.row = row;
    this.why = null;
    this.kept.clear();
    this.flight = 0;
    this.until = null;
    this.follows = true;
    this.soon();
  }

  // At most a few times a second, and always once more after the last event.
  private soon(): void {
    if (this.timer) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.app.draw(this);
    }, Math.max(0, this.last + Math.min(RARELY_MS, Math.max(EVERY_MS, SHARE * this.slices.spent)) - performance.now()));
  }

  private again(): void {
    this.slices.stop();
    this.kept.changed = true;
    this.app.draw(this);
  }

  resized(): void { this.measured(); }

  private measured(): void {
    const width = Math.floor(this.box.clientWidth);
    this.seenHeight = this.box.clientHeight;
    if (width === 0 || width === this.width) return;
    this.width = width;
    this.again();
  }

  private scrolled(): void {
    this.top = this.box.scrollTop;
    const atEnd = this.top + this.seenHeight >= this.box.scrollHeight - NEAR_END;
    this.more();
    if (this.until !== null || atEnd === this.follows) return;
    this.follows = atEnd;
    this.said.following(atEnd);
  }

  private page(by: number): void {
    const { marks } = this.kept.story(this.folds.checked), { from, to } = partOf(marks, this.until);
    const end = by < 0 ? from + DRAWN / 4 : to + DRAWN * 3 / 4;
    this.until = end >= marks.length ? null : marks[Math.max(0, end)]?.at ?? null;
    this.follows = false;
    this.again();
    this.box.scrollTop = this.top = by < 0 ? this.box.scrollHeight : 0;
  }

  private toEnd(): void {
    this.until = null;
    this.follows = true;
    this.again();
  }

  private options(width: number): LayoutOptions {
    return { width, zoom: ZOOMS[this.zoom] ?? 1, raw: this.raw.checked, flight: this.flight };
  }

  // The scale stays while the usual flight is about the same: a ladder that breathes can't be read.
  private takeFlight(story: Story): void {
    const is = story.flight, was = this.flight;
    if (is === 0 || was === 0 || is > was * 1.5 || is < was / 1.5) this.flight = is;
  }

  frame(now: number): void {
    if (this.width === 0) return;
    if (this.kept.changed && !this.slices.isBusy) {
      this.kept.changed = false;
      this.last = now;
      this.slices.start(this.drawn());
    }
    if (!this.slices.go() || !this.kept.changed) return;
    this.soon();
  }

  private *drawn(): Work {
    const { story, marks } = this.kept.story(this.folds.checked);
    yield "frame";
    const { from, to } = partOf(marks, this.until), shown = marks.slice(from, to);
    const asList = this.width < LIST_BELOW;
    this.takeFlight(story);
    if (asList) this.takeLines(story, shown);
    else yield* this.paint(story, shown, marks[from - 1]?.now ?? story.first);
    this.drawnMarks = shown;
    this.empty.hidden = shown.length > 0;
    setText(this.empty, this.said.without ?? this.why ?? "Nothing was seen of it yet.");
    this.list.hidden = !asList;
    this.svg.toggleAttribute("hidden", asList);
    this.head.toggleAttribute("hidden", asList || shown.length === 0);
    this.pages(marks.length, from, to);
    this.said.show(story);
    this.drewSome();
  }

  private drewSome(): void {
    this.chosen.refresh();
    if (this.follows) {
      this.box.scrollTop = this.box.scrollHeight;
      this.top = this.box.scrollTop;
    }
    this.slices.later(CALM_MS, () => this.rest());
  }

  // ---- the picture

  private *paint(story: Story, shown: Mark[], before: { a: string; b: string }): Work {
    const plan = yield* planned(story, shown, before, this.options(this.width));
    yield* this.items.part(plan.slots, this.made = this.near(plan.height, AROUND), this.far(plan.height));
    this.plan = plan;
    this.told = null;
    for (const [element, height] of [[this.svg, plan.height], [this.head, 32]] as const) {
      // Without a viewBox: with one, a picture that grows would have all its texts measured again.
      element.setAttribute("width", String(plan.width));
      element.setAttribute("height", String(height));
    }
    this.svg.setAttribute("aria-label", plan.words);
    this.headItems.items(plan.head);
  }

  private near(height: number, around: number): Part {
    const seen = this.seenHeight, top = this.follows ? Math.max(0, height - seen) : Math.min(this.top, Math.max(0, height - seen));
    return { top: top - around * seen, bottom: top + (1 + around) * seen };
  }

  // Who looks at something that stands gets all of it: to be found, and read by whoever does not see it.
  private far(height: number): Part {
    return this.app.isPaused || this.app.row?.ended ? { top: 0, bottom: height } : this.near(height, FAR);
  }

  paused(is: boolean): void {
    if (is) this.slices.later(CALM_MS, () => this.rest());
  }

  // ---- the list

  // The oldest lines of a long list are made last.
  private takeLines(story: Story, shown: Mark[]): void {
    const first = shown[0]?.at ?? -1;
    const more = shown.length - (this.told?.shown.length ?? 0);
    // Those that are there stay, while they do; who reads gets all.
    if (first === this.firstLine) this.linesMade += more;
    else this.linesMade = this.follows ? 0 : shown.length;
    this.firstLine = first;
    this.linesMade = Math.max(this.linesMade, LINES_FIRST);
    this.told = { story, shown };
    this.plan = null;
    this.lines.lines(listLines(story, shown.slice(-this.linesMade), this.raw.checked));
  }

  private moreLines(n: number): void {
    if (!this.told || this.linesMade >= this.told.shown.length) return;
    const { story, shown } = this.told, height = this.box.scrollHeight;
    this.linesMade += n;
    this.lines.lines(listLines(story, shown.slice(-this.linesMade), this.raw.checked));
    // What is read stays where it is.
    this.box.scrollTop += this.box.scrollHeight - height;
    this.top = this.box.scrollTop;
  }

  // ---- what is not made yet

  // What is scrolled to, before it is seen.
  private more(): void {
    if (this.slices.isBusy) return;
    if (this.told && this.top < this.seenHeight) this.moreLines(LINES_FIRST);
    if (!this.plan || (this.made.top <= Math.max(0, this.top) && this.made.bottom >= Math.min(this.plan.height, this.top + this.seenHeight))) return;
    this.fill(this.near(this.plan.height, AROUND));
  }

  private fill(part: Part): void {
    if (!this.plan) return;
    this.made = part;
    const making = this.items.part(this.plan.slots, part, this.far(this.plan.height));
    while (!making.next().done);
    this.chosen.refresh();
  }

  // A little of the rest; whether there is more.
  private rest(): boolean {
    if (this.told) {
      this.moreLines(LINES_MORE);
      return this.linesMade < this.told.shown.length;
    }
    if (!this.plan) return false;
    const { top, bottom } = this.made, far = this.far(this.plan.height);
    const least = Math.max(0, far.top), most = Math.min(this.plan.height, far.bottom);
    if (top > least) this.fill({ top: top - PIXELS_MORE, bottom });
    else if (bottom < most) this.fill({ top, bottom: bottom + PIXELS_MORE });
    return this.made.top > least || this.made.bottom < most;
  }

  // All of it up to an end, for who goes there with the keyboard.
  private reveal(edge: "first" | "last"): void {
    if (this.told) this.moreLines(this.told.shown.length);
    this.box.scrollTop = edge === "first" ? 0 : this.box.scrollHeight;
    this.scrolled();
  }

  private pages(total: number, from: number, to: number): void {
    const forgotten = this.kept.forgotten;
    setText(this.where, total === 0 ? "" : to - from === total && forgotten === 0 ? `${count(total)} events`
      : `${count(from + 1)}–${count(to)} of ${count(total)}${forgotten > 0 ? ", older ones went" : ""}`);
    this.earlier.disabled = from === 0;
    this.later.disabled = to === total;
    this.latest.disabled = this.until === null && this.follows;
  }

  private save(): void {
    const { story, marks } = this.kept.story(this.folds.checked), { from } = partOf(marks, this.until);
    const row = this.row;
    if (!row || this.drawnMarks.length === 0) {
      this.app.say("There is nothing to save yet.");
      return;
    }
    const picture = layout(story, this.drawnMarks, marks[from - 1]?.now ?? story.first, this.options(FILE_WIDTH));
    const { a, b } = story.connection.end, title = `${story.connection.protocol} ${a.address} → ${b.address}`;
    download(`ladder-${row.id}.svg`, pictureFile(picture, title, this.said.texts(story)));
    this.app.say("The ladder was saved as a file.");
  }
}

export const create: Create = (root, app) => new Ladder(root, app);
