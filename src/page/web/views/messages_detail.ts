// SPDX-License-Identifier: MIT
// What is under the list: the chosen message, to be copied or sent again, and its bytes read as numbers.
import { checksum, endsWithChecksum, inspect, toHex } from "../bytes";
import { el, setText } from "../dom";
import { recall, remember } from "./saved";
import { bytesOf } from "./messages_kept";
import type { Said } from "./messages_kept";
import { copy, forms, inForm } from "./messages_save";
import type { Form } from "./messages_save";

export interface Range { from: number; to: number }   // bytes; from === to: none but where it begins

interface Asked { say(text: string): void; edit(bytes: Uint8Array): void; close(): void }

// What `inspect` reads, if there are bytes enough.
const NAMES = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"];

export class Detail {
  readonly root: HTMLElement;
  #said: Said | null = null;
  #range: Range = { from: 0, to: 0 };
  #title = el("b");
  #offset = el("input", { type: "number", min: 0, value: 0, class: "ms", id: "detail-offset" });
  #span = el("span", { class: "mute" });
  #sums = el("p", { class: "hint mono" });
  #cells: HTMLTableCellElement[][] = [];
  #asked: Asked;

  constructor(asked: Asked) {
    this.#asked = asked;
    const copies = forms.map(([form, name]) => el("button", { type: "button", click: () => void this.#copy(form) }, name));
    this.root = el("div", { class: "detail", hidden: true, role: "group", "aria-label": "the chosen message" },
      el("div", { class: "row" }, this.#title, el("span", { class: "grow" }),
        el("button", { type: "button", click: () => this.#edit() }, "To the send box"),
        el("button", { type: "button", "aria-label": "close", click: () => asked.close() }, "×")),
      el("div", { class: "row" }, el("span", { class: "mute" }, "Copy"), el("div", { class: "seg-ctl", role: "group", "aria-label": "copy as" }, ...copies)),
      this.#inspector());
    this.#offset.addEventListener("input", () => this.#moved());
  }

  show(said: Said | null, range: Range = { from: 0, to: 0 }): void {
    this.#said = said;
    this.#range = range;
    this.root.hidden = said === null;
    if (!said) return;
    setText(this.#title, `${said.message.way === "in" ? "←" : "→"} ${bytesOf(said.message.bytes)}`);
    this.#offset.max = String(Math.max(0, said.bytes.length - 1));
    this.#offset.value = String(range.from);
    this.#read();
  }

  #inspector(): HTMLElement {
    const rows = NAMES.map((name) => {
      const cells = [el("td", { class: "num" }), el("td", { class: "num" })];
      this.#cells.push(cells);
      return el("tr", null, el("th", { scope: "row" }, name), ...cells);
    });
    const box = el("details", { open: recall("inspector") === "open" }, el("summary", null, "As numbers"),
      el("div", { class: "row" }, el("label", { for: "detail-offset" }, "at byte"), this.#offset, this.#span),
      el("div", { class: "scroll" }, el("table", { class: "nums mono" },
        el("thead", null, el("tr", null, el("th", { scope: "col" }, el("span", { class: "vh" }, "type")),
          el("th", { scope: "col", class: "num" }, "low byte first"), el("th", { scope: "col", class: "num" }, "high byte first"))),
        el("tbody", null, ...rows))), this.#sums);
    box.addEventListener("toggle", () => remember("inspector", box.open ? "open" : "closed"));
    return box;
  }

  // What is selected; the whole message when nothing is.
  #bytes(): Uint8Array {
    const { from, to } = this.#range;
    return this.#said ? (to > from ? this.#said.bytes.subarray(from, to) : this.#said.bytes) : new Uint8Array(0);
  }

  #moved(): void {
    const most = (this.#said?.bytes.length ?? 1) - 1;
    const from = Math.max(0, Math.min(most, Math.floor(Number(this.#offset.value) || 0)));
    this.#range = { from, to: from };
    this.#read();
  }

  #read(): void {
    if (!this.#said) return;
    const { from, to } = this.#range;
    const readings = this.#said.bytes.length ? inspect(this.#said.bytes, from) : [];
    this.#cells.forEach((cells, i) => {
      const reading = readings.find(({ name }) => name === NAMES[i]);
      const texts = reading ? [reading.little, reading.big ?? reading.little] : ["–", "–"];
      cells.forEach((cell, column) => setText(cell, texts[column] ?? ""));
    });
    setText(this.#span, `0x${from.toString(16)}${to > from ? `, ${bytesOf(to - from)} selected` : ""}`);
    const bytes = this.#bytes();
    const ends = endsWithChecksum(bytes);
    setText(this.#sums, `${to > from ? "selected" : "all"}: sum8 ${toHex(checksum("sum8", bytes))}, xor ${toHex(checksum("xor", bytes))}`
      + (ends ? `; ends with its ${ends}` : ""));
  }

  async #copy(form: Form): Promise<void> {
    const said = this.#said;
    if (!said) return;
    const bytes = this.#bytes();
    const done = await copy(inForm(bytes, form));
    const cut = bytes.length === said.bytes.length && said.message.bytes > bytes.length ? "; the others were not kept" : "";
    this.#asked.say(done ? `Copied ${bytesOf(bytes.length)}${cut}.` : "The browser does not let this page copy.");
  }

  #edit(): void {
    this.#asked.edit(this.#bytes());
  }
}
