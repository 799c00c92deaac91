// SPDX-License-Identifier: MIT
// The send box: what is typed, what of it will be sent, and the sending: once, again and again, a file, or in steps.
import "./send.css";
import type { App } from "../app";
import { checksums, isMistake, isUtf8, pieces, toHex } from "../bytes";
import type { ChecksumName, Order } from "../bytes";
import { count, el, setText } from "../dom";
import type { Command, Result, Row, ServerMessage } from "../types";
import { bytesOf } from "./messages_kept";
import type { SavedMessage, SavedMode } from "./saved";
import { FileBox } from "./send_files";
import { SavedBox } from "./send_saved";
import { RepeatList } from "./send_repeats";
import { fill, isStatic, isText, parse, placeOf, toParts, toSource, withChecksum } from "./send_parse";
import type { Bit, Draft, LineEnd } from "./send_parse";
import { StepsRun } from "./send_run";
import { parseSteps } from "./send_steps";

type Mode = SavedMode | "file";
const modes: [Mode, string][] = [["text", "Text"], ["hex", "Hex"], ["file", "File"], ["steps", "Steps"]];
const PREVIEW_MAX = 160;
const HISTORY_MAX = 100;

// What may be typed, and what it means (as a tool tip).
const hints: Record<Mode, [string, string]> = {
  text: ["\\r \\n \\t \\0 \\x1b \\u{e9} \\\\  {n} {n:5} {time} {unix} {ms} {rand:4} {{",
    "Escapes; {n} counts from 1, {n:5} from 5; {time} as ISO 8601, {unix} in seconds, {ms} in milliseconds; {rand:4} is 4 random bytes; {{ is a brace."],
  hex: ["01 02 0x03,04 as you like; {n} {time} {rand:4}", "Spaces, commas, lines and 0x are passed over; the macros of text are known here, too."],
  steps: ["a line each: a saved message’s name, wait MS, or answer MS", "answer 2000 goes on when the peer has sent something, and gives up after 2,000 ms."],
  file: ["", ""],
};

function selectOf<T extends string>(label: string, options: [T, string][]): HTMLSelectElement {
  return el("select", { "aria-label": label }, ...options.map(([value, name]) => el("option", { value }, name)));
}

export class Send {
  readonly root: HTMLElement;
  #app: App;
  #mode: Mode = "text";
  #isConnected = false;
  #sent = new Map<string, number>();       // how often what was typed was sent: its counters go on
  #history: SavedMessage[] = [];
  #at = 0;                                 // in the history; its length: what is being typed
  #typed: SavedMessage | null = null;
  #isEndChosen = false;
  #area = el("textarea", { id: "send-text", rows: 3, spellcheck: false, "aria-describedby": "send-preview send-hint", autocomplete: "off" });
  #label = el("label", { class: "vh", for: "send-text" }, "Message");
  #preview = el("p", { class: "preview mono", id: "send-preview" });
  #hint = el("p", { class: "hint mono", id: "send-hint" });
  #state = el("p", { class: "state", role: "status" });
  #end = selectOf<LineEnd>("line end", [["\r\n", "\\r\\n"], ["\n", "\\n"], ["", "none"]]);
  #sum = selectOf<ChecksumName>("checksum", [["none", "no checksum"],
    ...Object.entries(checksums).map(([name, { title }]): [ChecksumName, string] => [name as ChecksumName, title])]);
  #order = selectOf<Order>("checksum’s byte order", [["big", "high first"], ["little", "low first"]]);
  #frame = selectOf<"text" | "binary">("WebSocket message", [["text", "as text"], ["binary", "as binary"]]);
  #repeats = el("input", { type: "checkbox", id: "send-every" });
  #every = el("input", { class: "ms", value: "500", inputmode: "numeric", "aria-label": "interval in milliseconds" });
  #count = el("input", { class: "ms", value: "", placeholder: "∞", inputmode: "numeric", "aria-label": "how many times; empty: until stopped" });
  #button = el("button", { type: "submit", class: "primary" }, "Send ", el("kbd", null, "Ctrl ↵"));
  #modeButtons: HTMLButtonElement[];
  #form: HTMLElement;
  #options: HTMLElement;
  #repeatRow: HTMLElement;
  #saved: SavedBox;
  #list: RepeatList;
  #files: FileBox;
  #steps: StepsRun;

  constructor(app: App) {
    this.#app = app;
    this.#saved = new SavedBox({ say: (text) => app.say(text), draft: () => this.#asSaved(), load: (message) => this.#load(message) });
    this.#list = new RepeatList(app);
    this.#files = new FileBox(app, () => this.#changed(), (text) => this.#tell(text));
    this.#steps = new StepsRun((name) => this.#sendSaved(name), () => this.#changed());
    this.#modeButtons = modes.map(([mode, name]) =>
      el("button", { type: "button", "aria-pressed": String(mode === this.#mode), click: () => this.#setMode(mode) }, name));
    this.#options = el("div", { class: "row options" }, el("label", null, "end ", this.#end), this.#sum, this.#order);
    this.#repeatRow = el("div", { class: "row" }, el("label", { for: "send-every" }, this.#repeats, "every"), this.#every, el("span", null, "ms,"), this.#count, el("span", null, "times"));
    this.#form = el("form", { class: "send", "aria-label": "send", novalidate: true },
      el("div", { class: "bar" }, el("div", { class: "seg-ctl", role: "group", "aria-label": "send as" }, ...this.#modeButtons), this.#frame),
      this.#label, this.#area, this.#files.root, this.#preview, this.#hint, this.#options, this.#repeatRow, this.#saved.root,
      el("div", { class: "row last" }, this.#state, this.#steps.stop, this.#button));
    this.root = el("div", { class: "sendbox" }, this.#form, this.#list.root);
    this.#listen();
    this.#changed();
  }

  message(message: ServerMessage): void {
    this.#list.message(message);
    this.#steps.message(message);
    if (message.kind === "row" || message.kind === "welcome") this.#changed();
    if (message.kind === "repeats" && message.repeats.every(({ over }) => over)) this.#repeatsAreOver();
  }

  opened(row: Row | null): void {
    this.#files.stop();
    this.#steps.end();
    this.#tell("");
    setText(this.#label, row ? `Message to ${row.peer}` : "Message");
    // Lines are for streams; a message ends where it ends. What a person has chosen stays.
    if (!this.#isEndChosen && row) this.#end.value = row.messages_kind === "messages" ? "" : "\r\n";
    this.#changed();
  }

  connected(is: boolean): void {
    this.#isConnected = is;
    if (!is) {
      this.#files.stop();
      this.#steps.end();
      this.#list.lost();
    }
    this.#changed();
  }

  // Bytes that were seen, to be changed and sent again.
  edit(bytes: Uint8Array): void {
    this.#remember();
    const isReadable = isUtf8(bytes);
    this.#setMode(isReadable ? "text" : "hex");
    this.#area.value = isReadable ? toSource(bytes) : toHex(bytes);
    this.#end.value = "";
    this.#sum.value = "none";
    this.#changed();
    this.#area.focus();
  }

  // ---- what is typed

  #draft(): Draft {
    return {
      mode: this.#mode === "hex" ? "hex" : "text", content: this.#area.value, end: this.#end.value as LineEnd,
      sum: this.#sum.value as ChecksumName, order: this.#order.value as Order,
    };
  }

  #asSaved(): Omit<SavedMessage, "name"> | null {
    if (this.#mode === "file") return null;
    const { every, times } = this.#interval();
    return { ...this.#draft(), mode: this.#mode, every_ms: this.#repeats.checked ? every : 0, count: times };
  }

  #load(message: SavedMessage): void {
    this.#remember();
    this.#show(message);
    this.#tell("");
  }

  #show(message: SavedMessage): void {
    this.#setMode(message.mode);
    this.#area.value = message.content;
    this.#end.value = message.end;
    this.#isEndChosen = true;
    this.#sum.value = message.sum;
    this.#order.value = message.order;
    this.#repeats.checked = message.every_ms > 0;
    if (message.every_ms) this.#every.value = String(message.every_ms);
    this.#count.value = message.count ? String(message.count) : "";
    this.#changed();
  }

  #interval(): { every: number; times: number; wrong: string | null } {
    const every = Number(this.#every.value), times = Number(this.#count.value || 0);
    const wrong = !(Number.isInteger(every) && every >= 10 && every <= 3_600_000) ? "The interval is a whole number from 10 to 3600000 ms."
      : !(Number.isInteger(times) && times >= 0 && times <= 1e9) ? "How many times is a whole number; empty: until stopped." : null;
    return { every: Number.isInteger(every) ? every : 0, times: Number.isInteger(times) && times > 0 ? times : 0, wrong };
  }

  #setMode(mode: Mode): void {
    this.#mode = mode;
    this.#modeButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(modes[i]?.[0] === mode)));
    this.#showHint();
    this.#changed();
  }

  #showHint(): void {
    const [short, long] = hints[this.#mode];
    setText(this.#hint, short);
    this.#hint.title = long;
  }

  // ---- why not, and what

  #why(): string | null {
    const row = this.#app.row;
    const welcome = this.#app.welcome;
    if (!this.#isConnected || !welcome) return "The connection to sonde is lost.";
    if (!this.#app.can("send")) return welcome.read_only ? "This page may only look (--page-read-only)." : `sonde ${welcome.verb} sends nothing for a page.`;
    if (!row) return "Open a connection to send to it.";
    if (row.ended) return "This connection has ended.";
    if (row.can.includes("send")) return null;
    return row.class === "shut" && row.can.includes("kick") ? "Its sending side is closed." : "It can’t be sent to: it is not a connection of this sonde’s own.";
  }

  #isWebSocket(): boolean {
    return /\bws/.test(this.#app.row?.layers ?? "");
  }

  #changed(): void {
    const why = this.#why();
    const isFile = this.#mode === "file", isSteps = this.#mode === "steps";
    const wrong = isFile ? this.#files.describe(this.#app.row) : isSteps ? this.#describeSteps() : this.#describe();
    this.#area.hidden = this.#preview.hidden = this.#hint.hidden = isFile;
    this.#files.root.hidden = !isFile;
    this.#options.hidden = this.#repeatRow.hidden = isFile || isSteps;
    this.#end.disabled = this.#mode === "hex";
    this.#order.hidden = ["none", "sum8", "xor"].includes(this.#sum.value);   // one byte has no order
    this.#frame.hidden = !this.#isWebSocket() || isFile || this.#mode === "hex";   // those are binary
    this.#every.disabled = this.#count.disabled = !this.#repeats.checked;
    this.#area.setAttribute("aria-invalid", String(wrong !== null && !isFile));
    const busy = this.#files.isRunning || this.#steps.isRunning;
    this.#button.disabled = why !== null || wrong !== null || busy;
    this.#steps.stop.hidden = !this.#steps.isRunning;
    if (why !== null && !busy) this.#tell(why, true);
    else if (this.#state.dataset.why !== undefined) this.#tell("");
  }

  // What is wrong with it, said in the preview; null: nothing.
  #describe(): string | null {
    const draft = this.#draft();
    const bits = parse(draft);
    if (isMistake(bits)) return this.#complain(`${placeOf(draft.content, bits.at)}: ${bits.error}`);
    const now = fill(bits.value, this.#nth(draft), new Date());
    const summed = withChecksum([{ bytes: now }], draft);
    const whole = isMistake(summed) ? now : fill(summed.value, 0, new Date());
    const repeated = this.#repeats.checked ? withChecksum(bits.value, draft) : null;
    if (repeated && isMistake(repeated)) return this.#complain(repeated.error);
    const limit = this.#app.welcome?.limits.send_bytes ?? 1 << 20;
    if (whole.length > limit) return this.#complain(`${bytesOf(whole.length)}: at most ${count(limit)} go as one message; send a file`);
    if (!whole.length && !this.#isWebSocket()) return this.#complain(draft.content ? "nothing to send" : "nothing to send yet", !draft.content);
    if (this.#isWebSocket() && this.#frame.value === "text" && draft.mode === "text" && !isText(bits.value))
      return this.#complain("not UTF-8: it can’t be a text message; choose a binary one");
    this.#showBytes(whole, !isStatic(bits.value));
    return null;
  }

  #describeSteps(): string | null {
    const steps = parseSteps(this.#area.value, (name) => this.#saved.find(name) !== undefined);
    if (isMistake(steps)) return this.#complain(`${placeOf(this.#area.value, steps.at)}: ${steps.error}`);
    if (!steps.value.length) return this.#complain("no steps yet", true);
    this.#preview.classList.remove("tr");
    setText(this.#preview, `${steps.value.length} ${steps.value.length === 1 ? "step" : "steps"}`);
    return null;
  }

  #complain(wrong: string, isMild = false): string {
    this.#preview.classList.toggle("tr", !isMild);
    setText(this.#preview, wrong);
    return wrong;
  }

  #showBytes(bytes: Uint8Array, varies: boolean): void {
    this.#preview.classList.remove("tr");
    const some = bytes.subarray(0, PREVIEW_MAX);
    const shown = this.#mode === "hex" ? [toHex(some)]
      : pieces(some).filter((piece) => piece.n).map((piece) => (piece.escape ? el("i", null, piece.text) : piece.text));
    this.#preview.replaceChildren(el("b", null, `${bytesOf(bytes.length)}${varies ? " now" : ""}`), " ", ...shown, some.length < bytes.length ? " …" : "");
  }

  #tell(text: string, isWhy = false): void {
    setText(this.#state, text);
    delete this.#state.dataset.repeat;
    if (isWhy) this.#state.dataset.why = "";
    else delete this.#state.dataset.why;
  }

  // ---- sending

  #nth(draft: Draft): number {
    return this.#sent.get(draft.content) ?? 0;
  }

  #submit(): void {
    if (this.#button.disabled) return;
    const row = this.#app.row;
    if (!row) return;
    if (this.#mode === "file") return void this.#files.send(row);
    this.#remember();
    if (this.#mode === "steps") {
      const steps = parseSteps(this.#area.value, (name) => this.#saved.find(name) !== undefined);
      if (!isMistake(steps)) void this.#steps.run(steps.value, (text) => this.#tell(text));
      return;
    }
    const { every, times, wrong } = this.#interval();
    if (this.#repeats.checked && wrong) return this.#tell(wrong);
    void this.#send(row, this.#draft(), this.#repeats.checked ? every : 0, times);
  }

  async #sendSaved(name: string): Promise<boolean> {
    const message = this.#saved.find(name);
    const row = this.#app.row;
    if (!message || !row || message.mode === "steps") {
      this.#tell(message?.mode === "steps" ? `${name} has steps of its own: they can’t be steps of others.` : `${name} can’t be sent now.`);
      return false;
    }
    return this.#send(row, { ...message, mode: message.mode }, 0, 0);
  }

  async #send(row: Row, draft: Draft, every_ms: number, times: number): Promise<boolean> {
    const bits = parse(draft);
    if (isMistake(bits)) {
      this.#tell(`${placeOf(draft.content, bits.at)}: ${bits.error}`);
      return false;
    }
    const nth = this.#nth(draft);
    // Sent once, a checksum may be over macros: they are filled in here.
    const fixed: Bit[] = draft.sum !== "none" && !every_ms ? [{ bytes: fill(bits.value, nth, new Date()) }] : bits.value;
    const whole = withChecksum(fixed, draft);
    if (isMistake(whole)) return false;
    if (!every_ms) this.#sent.set(draft.content, nth + 1);
    const command: Command = {
      do: "send", id: row.id, parts: toParts(whole.value, nth), every_ms, count: every_ms ? times : 0,
      text: this.#isWebSocket() && this.#frame.value === "text" && draft.mode === "text" && isText(whole.value),
    };
    const answer = await this.#app.ask(command).catch(() => null);
    return this.#answered(answer?.kind === "result" ? answer : null, every_ms);
  }

  #answered(answer: Result | null, every_ms: number): boolean {
    if (!answer) this.#tell("The connection to sonde was lost; it may or may not have been sent.");
    else if (!answer.ok) this.#tell(answer.busy ? `Not sent: ${answer.error ?? "too much waits for this peer already."}` : answer.error ?? "Not sent.");
    else if (every_ms) {
      this.#tell(`Sending every ${count(every_ms)} ms.`);
      this.#state.dataset.repeat = "";
    }
    else this.#tell(`${bytesOf(answer.sent ?? 0)} sent${answer.queued ? `, ${bytesOf(answer.queued)} wait for the peer to read` : ""}.`);
    this.#changed();
    return answer?.ok ?? false;
  }

  // Their list says how each ended: "Sending" is not to stand beside it.
  #repeatsAreOver(): void {
    if (this.#state.dataset.repeat !== undefined) this.#tell("");
  }

  // ---- history

  #remember(): void {
    const now = this.#asSaved();
    if (!now || !now.content) return;
    const last = this.#history[this.#history.length - 1];
    if (!last || JSON.stringify({ ...last, name: "" }) !== JSON.stringify({ ...now, name: "" })) this.#history.push({ ...now, name: "" });
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    this.#at = this.#history.length;
  }

  #step(by: number): void {
    if (this.#at === this.#history.length) {
      const typed = this.#asSaved();
      this.#typed = typed && { ...typed, name: "" };
      // What was sent last is still in the box: the one before it is meant.
      if (by < 0 && this.#typed?.content === this.#history[this.#at - 1]?.content && this.#at > 1) this.#at--;
    }
    const to = Math.max(0, Math.min(this.#history.length, this.#at + by));
    const message = to === this.#history.length ? this.#typed : this.#history[to];
    this.#at = to;
    if (!message) return;
    this.#show(message);
    this.#area.setSelectionRange(message.content.length, message.content.length);
  }

  #listen(): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#form.addEventListener("input", () => this.#changed());
    this.#end.addEventListener("change", () => { this.#isEndChosen = true; });
    this.#sum.addEventListener("change", () => {
      const name = this.#sum.value as ChecksumName;
      if (name !== "none") this.#order.value = checksums[name].order;
      this.#changed();
    });
    this.#area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#submit();
      else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) this.#step(event.key === "ArrowUp" ? -1 : 1);
      else return;
      event.preventDefault();
    });
    this.#files.takeDrops(this.root, () => this.#setMode("file"));
    this.#showHint();
  }
}
