// SPDX-License-Identifier: MIT
// The send box's saved messages: to choose, to save, to delete (and take it back), to carry to another browser.
import { el } from "../dom";
import { saveFile } from "./messages_save";
import { NAME_MAX, Saved, read } from "./saved";
import type { SavedMessage } from "./saved";

const IMPORT_MAX = 8 << 20;

interface Asked {
  say(text: string): void;
  draft(): Omit<SavedMessage, "name"> | null;    // null: what is in the box can't be saved
  load(message: SavedMessage): void;
}

export class SavedBox {
  readonly root: HTMLElement;
  #asked: Asked;
  #saved = new Saved();
  #undo: { message: SavedMessage; at: number } | null = null;
  #select = el("select", { id: "saved" });
  #name = el("input", { "aria-label": "name to save it under", maxlength: NAME_MAX, placeholder: "name" });
  #naming: HTMLElement;
  #more: HTMLElement;
  #moreButton: HTMLButtonElement;
  #delete = el("button", { type: "button", click: () => this.#remove() }, "Delete");
  #file = el("input", { type: "file", accept: ".json,application/json", hidden: true, tabindex: -1 });

  constructor(asked: Asked) {
    this.#asked = asked;
    this.#naming = el("div", { class: "row", hidden: true }, this.#name,
      el("button", { type: "button", click: () => this.#save() }, "Save"),
      el("button", { type: "button", click: () => this.#ask(false) }, "Cancel"));
    this.#more = el("div", { class: "row", hidden: true }, this.#delete,
      el("button", { type: "button", click: () => this.#file.click() }, "Import…"),
      el("button", { type: "button", click: () => this.#export() }, "Export"), this.#file);
    this.#moreButton = el("button", { type: "button", "aria-expanded": "false", "aria-label": "more about saved messages", click: () => this.#toggle() }, "…");
    this.root = el("div", { class: "saved" },
      el("div", { class: "row" }, el("label", { class: "grow", for: "saved" }, "Saved ", this.#select),
        el("button", { type: "button", click: () => this.#ask(true) }, "Save as…"), this.#moreButton), this.#naming, this.#more);
    this.#listen();
    this.#fill("");
    if (this.#saved.trouble) asked.say(this.#saved.trouble);
  }

  find(name: string): SavedMessage | undefined {
    return this.#saved.find(name);
  }

  #fill(name: string): void {
    this.#select.replaceChildren(el("option", { value: "" }, "choose…"),
      ...this.#saved.messages.map((message) => el("option", { value: message.name }, message.name)));
    this.#select.value = name;
    this.#chosen();
  }

  #chosen(): void {
    this.#delete.disabled = !this.#select.value && !this.#undo;
    this.#delete.textContent = this.#undo ? `Undo: ${this.#undo.message.name.slice(0, 24)}` : "Delete";
  }

  #toggle(): void {
    this.#more.hidden = !this.#more.hidden;
    this.#moreButton.setAttribute("aria-expanded", String(!this.#more.hidden));
  }

  #ask(is: boolean): void {
    this.#naming.hidden = !is;
    if (!is) return this.#select.focus();
    this.#name.value = this.#select.value;
    this.#name.focus();
    this.#name.select();
  }

  #isKept(is: boolean, otherwise: string): void {
    this.#asked.say(is ? otherwise : `${otherwise} But this browser keeps nothing for this page: export what is to stay.`);
  }

  #save(): void {
    const name = this.#name.value.trim();
    const draft = this.#asked.draft();
    if (!name) return this.#asked.say("A saved message needs a name.");
    if (!draft) return this.#asked.say("A file can’t be saved as a message.");
    const isNew = this.#saved.find(name) === undefined;
    this.#isKept(this.#saved.put({ ...draft, name }), isNew ? `Saved ${name}.` : `Saved ${name}, in place of what it was.`);
    this.#undo = null;
    this.#fill(name);
    this.#ask(false);
  }

  #remove(): void {
    if (this.#undo) {
      this.#isKept(this.#saved.restore(this.#undo), `${this.#undo.message.name} is back.`);
      const { name } = this.#undo.message;
      this.#undo = null;
      return this.#fill(name);
    }
    this.#undo = this.#saved.remove(this.#select.value);
    this.#fill("");
    if (this.#undo) this.#asked.say(`Deleted ${this.#undo.message.name}.`);
  }

  #export(): void {
    saveFile("sonde-messages.json", [this.#saved.asFile()], "application/json");
  }

  async #import(): Promise<void> {
    const file = this.#file.files?.[0];
    this.#file.value = "";
    if (!file) return;
    if (file.size > IMPORT_MAX) return this.#asked.say("This file is too large to have saved messages in it.");
    const found = read(await file.text().catch(() => ""));
    if (!found) return this.#asked.say(`${file.name} has no saved messages in it.`);
    const { added, isKept } = this.#saved.merge(found.messages);
    const over = found.passedOver ? `; ${found.passedOver} could not be read` : "";
    this.#fill(this.#select.value);
    this.#isKept(isKept, `${added} of ${found.messages.length + found.passedOver} messages are new here${over}.`);
  }

  #listen(): void {
    this.#select.addEventListener("change", () => {
      this.#undo = null;
      const message = this.#saved.find(this.#select.value);
      if (message) this.#asked.load(message);
      this.#chosen();
    });
    this.#name.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#save();
      else if (event.key === "Escape") this.#ask(false);
      else return;
      event.preventDefault();
    });
    this.#file.addEventListener("change", () => void this.#import());
    // Another tab has saved something.
    addEventListener("storage", (event) => {
      if (event.key !== "sonde.saved") return;
      this.#saved.load();
      this.#fill(this.#select.value);
    });
  }
}
