// SPDX-License-Identifier: MIT
// The messages of the opened row, both ways, and under them the box to send more.
//
// At most SHOWN_MAX of them are in the document. While its end is seen, the list follows; else what comes is counted on
// a button. Earlier ones are fetched from what is kept when asked for.
import "./messages.css";
import type { App, Create, View } from "../app";
import { count, el, setText } from "../dom";
import type { Row, ServerMessage } from "../types";
import { Detail } from "./messages_detail";
import { byteAt, makeItem, showAll } from "./messages_entry";
import type { Look, Shape } from "./messages_entry";
import { Kept, matches, needleOf } from "./messages_kept";
import type { Entry, Needle, Said } from "./messages_kept";
import { markFound } from "./messages_marks";
import { asBytes, asLog, saveFile } from "./messages_save";
import { recall, remember } from "./saved";
import { Send } from "./send";

const SHOWN_MAX = 500;
const STEP = 200;      // how many earlier ones are shown at once
const NEAR_END = 24;   // pixels
const SLICE_MS = 8;    // of a frame: the rest of what is new comes in the next

const shapes: [Shape, string][] = [["both", "Text + hex"], ["text", "Text"], ["hex", "Hex"]];

class MessagesView implements View {
  #app: App;
  #kept = new Kept();
  #items = new Map<Element, Entry>();
  #first: number | null = null;   // `order` of the first and the last that are in the document
  #last = -1;
  #look: Look;
  #needle: Needle | null = null;
  #wanted = new WeakMap<Entry, boolean>();   // whether they have the needle in them
  #isWhole = false;               // everything is to be drawn anew
  #follows = true;
  #top = 0;                       // where the list was scrolled to
  #chosen: Said | null = null;
  #send: Send;
  #detail: Detail;
  #head = el("h2", { id: "h-messages" }, "Messages");
  #log = el("ol", { class: "log", tabindex: 0, "aria-label": "messages, newest last" });
  #empty = el("p", { class: "empty mute" });
  #news = el("button", { type: "button", class: "news", hidden: true });
  #earlier = el("button", { type: "button", class: "earlier", hidden: true });
  #search = el("input", { type: "search", "aria-label": "search in messages", placeholder: "search", spellcheck: false });
  #isHex = el("input", { type: "checkbox" });
  #found = el("output", { class: "mute found" });

  constructor(root: HTMLElement, app: App) {
    this.#app = app;
    const shape = shapes.find(([name]) => name === recall("messages.shape"))?.[0] ?? "both";
    this.#look = { shape, width: 8, origin: NaN, isDatagram: false };
    this.#send = new Send(app);
    this.#detail = new Detail({
      say: (text) => app.say(text), edit: (bytes) => this.#send.edit(bytes), close: () => this.#choose(null),
    });
    root.classList.add("msg");
    root.setAttribute("aria-labelledby", this.#head.id);
    root.removeAttribute("aria-label");
    root.append(el("div", { class: "bar" }, this.#head, this.#shapeControl()), this.#tools(),
      el("div", { class: "logbox" }, this.#empty, this.#earlier, this.#log, this.#news), this.#detail.root, this.#send.root);
    this.#listen();
    this.#say();
  }

  // ---- what comes

  message(message: ServerMessage): void {
    this.#send.message(message);
    if (message.kind === "events" && message.first) this.#begins(message.events[0]?.t_ns);
    if (message.kind !== "messages") return;
    this.#begins(message.messages[0]?.t_ns);
    this.#kept.add(message);
    this.#app.draw(this);
  }

  opened(row: Row | null): void {
    this.#send.opened(row);
    this.#kept = new Kept();
    this.#look.origin = NaN;
    this.#look.isDatagram = row?.protocol === "udp";
    this.#choose(null);
    this.#follows = true;
    this.#redraw();
  }

  connected(is: boolean): void {
    this.#send.connected(is);
  }

  // Times are since the connection's first event, as in its ladder.
  #begins(t_ns: number | undefined): void {
    if (t_ns === undefined || t_ns >= this.#look.origin) return;
    this.#look.origin = t_ns;
    this.#isWhole = true;
    this.#app.draw(this);
  }

  // ---- drawing

  #redraw(): void {
    this.#isWhole = true;
    this.#app.draw(this);
  }

  #isWanted(entry: Entry): boolean {
    if (this.#needle === null) return true;
    const known = this.#wanted.get(entry);
    if (known !== undefined) return known;
    const is = matches(entry, this.#needle);
    this.#wanted.set(entry, is);
    return is;
  }

  frame(): void {
    if (this.#isWhole) this.#drawWhole();
    else this.#drawNews();
    this.#say();
    // What was not drawn before may turn out to be higher than was thought: then once more.
    if (this.#follows && this.#items.size > 0 && !this.#isAtEnd()) {
      this.#log.scrollTop = this.#log.scrollHeight;
      this.#app.draw(this);
    }
    markFound(this.#items, this.#needle, this.#look.width);
  }

  #drawWhole(): void {
    this.#isWhole = false;
    this.#items.clear();
    this.#first = null;
    this.#last = -1;
    this.#log.replaceChildren();
    const wanted = this.#kept.entries.filter((entry) => this.#isWanted(entry));
    this.#last = wanted[wanted.length - STEP - 1]?.order ?? -1;
    this.#drawNews();
  }

  #drawNews(): void {
    const entries = this.#newer();
    const room = SHOWN_MAX - this.#log.children.length;
    // What is read must not move: only while the end is followed do the oldest make room.
    this.#append(this.#follows ? entries.slice(-SHOWN_MAX) : entries.slice(0, Math.max(0, room)));
    if (this.#follows) while (this.#log.children.length > SHOWN_MAX) this.#drop(this.#log.firstElementChild);
  }

  // Those after the last that is shown. What is kept is in order, so that its end is enough to look at.
  #newer(): Entry[] {
    const { entries } = this.#kept;
    let from = entries.length;
    while (from > 0 && (entries[from - 1]?.order ?? -1) > this.#last) from--;
    return entries.slice(from).filter((entry) => this.#isWanted(entry));
  }

  #append(entries: Entry[]): void {
    const items: HTMLLIElement[] = [], end = performance.now() + SLICE_MS;
    for (const entry of entries) {
      items.push(this.#item(entry));
      if (performance.now() >= end) break;
    }
    this.#log.append(...items);
    this.#first ??= entries[0]?.order ?? null;
    const isAll = items.length === entries.length;
    if (!isAll) this.#app.draw(this);
    // Those that the search passed over were looked at, too.
    const last = this.#follows && isAll ? this.#kept.entries[this.#kept.entries.length - 1] : entries[items.length - 1];
    this.#last = Math.max(this.#last, last?.order ?? -1);
  }

  #item(entry: Entry): HTMLLIElement {
    const item = makeItem(entry, this.#look);
    this.#items.set(item, entry);
    if (entry === this.#chosen) item.setAttribute("aria-current", "true");
    return item;
  }

  #drop(item: Element | null): void {
    if (!item) return;
    this.#items.delete(item);
    item.remove();
    const first = this.#log.firstElementChild;
    this.#first = (first && this.#items.get(first)?.order) ?? null;
  }

  #before(): Entry[] {
    const first = this.#first;
    return first === null ? [] : this.#kept.entries.filter((entry) => entry.order < first && this.#isWanted(entry));
  }

  #showEarlier(): void {
    const entries = this.#before().slice(-STEP);
    const top = this.#log.firstElementChild;
    this.#follows = false;
    this.#log.prepend(...entries.map((entry) => this.#item(entry)));
    this.#first = entries[0]?.order ?? this.#first;
    while (this.#log.children.length > SHOWN_MAX) {
      const last = this.#log.lastElementChild;
      this.#drop(last);
      const now = this.#log.lastElementChild;
      this.#last = (now && this.#items.get(now)?.order) ?? -1;
    }
    this.#first = this.#items.get(this.#log.firstElementChild ?? this.#log)?.order ?? null;
    // What was first is seen below the earlier ones.
    if (top) this.#log.scrollTop += top.getBoundingClientRect().top - this.#log.getBoundingClientRect().top - this.#log.clientHeight * 0.7;
    this.#say();
    this.#log.focus({ preventScroll: true });
  }

  // What is said around the list: what is not shown, and why there is nothing.
  #say(): void {
    const row = this.#app.row;
    const n = this.#kept.entries.reduce((sum, entry) => sum + Number(entry.kind === "message"), 0);
    setText(this.#head, n ? `Messages ${count(n)}` : "Messages");
    const earlier = this.#kept.entries.length > this.#log.children.length ? this.#before().length : 0;
    const gone = this.#kept.forgotten;
    this.#earlier.hidden = !earlier && !gone;
    this.#earlier.disabled = !earlier;
    setText(this.#earlier, earlier ? `Show ${count(Math.min(STEP, earlier))} of ${count(earlier)} earlier ones`
      : `${count(gone)} earlier messages are no longer kept here`);
    const news = this.#follows ? 0 : this.#newer().length;
    const below = !this.#follows && (news > 0 || !this.#isAtEnd());
    this.#news.hidden = !below;
    setText(this.#news, news ? `${count(news)} new ↓` : "To the newest ↓");
    setText(this.#found, this.#needle ? `${count(this.#log.children.length)} found` : "");
    const what = row?.messages_kind === "messages" ? "messages" : "bytes";
    setText(this.#empty, !row ? "Open a connection to see what goes over it." : this.#needle ? "Nothing that is kept has this in it."
      : row.can.length || row.n_messages ? `No ${what} yet.` : `No ${what} are seen here: this connection is not one of this sonde's own.`);
    this.#empty.hidden = this.#log.children.length > 0;
  }

  // ---- what is asked for

  #shapeControl(): HTMLElement {
    const buttons = shapes.map(([shape, name]) =>
      el("button", { type: "button", "aria-pressed": String(shape === this.#look.shape), click: () => choose(shape) }, name));
    const choose = (shape: Shape): void => {
      this.#look.shape = shape;
      remember("messages.shape", shape);
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(shapes[i]?.[0] === shape)));
      this.#redraw();
    };
    return el("div", { class: "seg-ctl", role: "group", "aria-label": "show bytes as" }, ...buttons);
  }

  #tools(): HTMLElement {
    const saves = el("div", { class: "row", hidden: true, role: "group", "aria-label": "save as" },
      el("button", { type: "button", click: () => this.#saveLog() }, "Log, in hex"),
      el("button", { type: "button", click: () => this.#saveBytes("in") }, "Received bytes"),
      el("button", { type: "button", click: () => this.#saveBytes("out") }, "Sent bytes"));
    const save = el("button", { type: "button", "aria-expanded": "false" }, "Save…");
    save.addEventListener("click", () => {
      saves.hidden = !saves.hidden;
      save.setAttribute("aria-expanded", String(!saves.hidden));
    });
    return el("div", { class: "msgtools" },
      el("div", { class: "row" }, this.#search, el("label", null, this.#isHex, "hex"), this.#found, save,
        el("button", { type: "button", click: () => this.#clear() }, "Clear")), saves);
  }

  #saveLog(): void {
    if (!this.#kept.entries.length) return this.#app.say("There is nothing to save.");
    saveFile("messages.txt", [asLog(this.#kept.entries, this.#look.origin)], "text/plain");
  }

  #saveBytes(way: "in" | "out"): void {
    const { bytes, missing } = asBytes(this.#kept.entries, way);
    if (!bytes.length) return this.#app.say("There is nothing to save.");
    saveFile(way === "in" ? "received.bin" : "sent.bin", [bytes as BlobPart], "application/octet-stream");
    if (missing) this.#app.say(`${count(missing)} bytes are not in the file: they were not kept.`);
  }

  #clear(): void {
    this.#kept.clear();
    this.#choose(null);
    this.#follows = true;
    this.#redraw();
    this.#app.say("Cleared. Open the connection again to see what sonde still keeps of it.");
  }

  #searched(): void {
    const needle = needleOf(this.#search.value, this.#isHex.checked);
    const wrong = needle && "error" in needle ? needle.error : "";
    this.#search.setCustomValidity(wrong);
    this.#search.title = wrong;
    if (wrong) return;
    this.#needle = needle as Needle | null;
    this.#wanted = new WeakMap();
    this.#follows = true;
    this.#redraw();
  }

  // ---- one message

  #choose(said: Said | null, range = { from: 0, to: 0 }): void {
    const isOther = said !== this.#chosen;
    this.#chosen = said;
    this.#detail.show(said, range);
    if (!isOther) return;
    for (const [item, entry] of this.#items)
      if (entry === said) {
        item.setAttribute("aria-current", "true");
        item.scrollIntoView({ block: "nearest" });
      } else item.removeAttribute("aria-current");
  }

  #selected(): void {
    const selection = document.getSelection();
    const { anchorNode, focusNode } = selection ?? {};
    if (!selection || !anchorNode || !focusNode || !this.#log.contains(anchorNode) || !this.#log.contains(focusNode)) return;
    const item = anchorNode.parentElement?.closest("li");
    const entry = item && this.#items.get(item);
    if (!entry || entry.kind !== "message" || !item.contains(focusNode)) return;
    const a = byteAt(anchorNode, selection.anchorOffset, entry, this.#look);
    const b = byteAt(focusNode, selection.focusOffset, entry, this.#look);
    if (a === null || b === null) return;
    const isDump = anchorNode.parentElement?.classList.contains("hex") ?? false;
    const from = Math.min(a, b), to = Math.max(a, b);
    // In a dump the last byte touched is meant as well, in text a place lies between two.
    const last = Math.max(0, entry.bytes.length - 1);
    this.#choose(entry, { from: Math.min(from, last), to: selection.isCollapsed ? 0 : Math.min(isDump ? to + 1 : to, last + 1) });
  }

  #isAtEnd(): boolean {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END;
  }

  // Whoever scrolls up wants to read; what grows or comes does not scroll up.
  #scrolled(): void {
    const isUp = this.#log.scrollTop < this.#top - 1;
    this.#top = this.#log.scrollTop;
    const follows = this.#isAtEnd() || (this.#follows && !isUp);
    if (follows === this.#follows) return;
    this.#follows = follows;
    if (follows) this.#app.draw(this);
    this.#say();
  }

  #toEnd(): void {
    this.#follows = true;
    this.#drawWhole();
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#say();
    this.#log.focus({ preventScroll: true });
  }

  #key(event: KeyboardEvent): void {
    const items = [...this.#log.children] as HTMLElement[];
    const at = items.findIndex((item) => item === document.activeElement);
    const to = { ArrowDown: at < 0 ? 0 : at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape" && this.#chosen) this.#choose(null);
    else if (to === undefined || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    else items[Math.max(0, Math.min(items.length - 1, to))]?.focus();
    event.preventDefault();
  }

  #clicked(event: Event): void {
    const target = event.target instanceof Element ? event.target : null;
    const item = target?.closest("li");
    const entry = item && this.#items.get(item);
    if (!entry || entry.kind !== "message") return;
    if (target?.closest("[data-more]")) {
      showAll(item, entry, this.#look);
      item.focus({ preventScroll: true });
    } else if (entry !== this.#chosen && (document.getSelection()?.isCollapsed ?? true)) this.#choose(entry);
  }

  #wallClock(event: Event): void {
    const time = event.target instanceof Element ? event.target.closest("time") : null;
    const welcome = this.#app.welcome;
    if (!time || !welcome || time.title) return;
    const wall = new Date(welcome.wall_ms + (Number(time.dataset.t) - welcome.t_ns) / 1e6);
    time.title = `${wall.toLocaleDateString("sv-SE")} ${wall.toLocaleTimeString("sv-SE")}.${String(wall.getMilliseconds()).padStart(3, "0")}`;
  }

  #listen(): void {
    const log = this.#log;
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    log.addEventListener("keydown", (event) => this.#key(event));
    log.addEventListener("click", (event) => this.#clicked(event));
    log.addEventListener("mouseover", (event) => this.#wallClock(event));
    log.addEventListener("focusin", (event) => {
      const entry = event.target instanceof Element ? this.#items.get(event.target) : undefined;
      if (entry?.kind === "message" && entry !== this.#chosen) this.#choose(entry);
    });
    document.addEventListener("selectionchange", () => this.#selected());
    this.#news.addEventListener("click", () => this.#toEnd());
    this.#earlier.addEventListener("click", () => this.#showEarlier());
    this.#search.addEventListener("input", () => this.#searched());
    this.#isHex.addEventListener("change", () => this.#searched());
    new ResizeObserver(([box]) => {
      const width = (box?.contentRect.width ?? 0) > 480 ? 16 : 8;
      if (width === this.#look.width) return;
      this.#look.width = width;
      this.#redraw();
    }).observe(log);
  }
}

export const create: Create = (root, app) => new MessagesView(root, app);
