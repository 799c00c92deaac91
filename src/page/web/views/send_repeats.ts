// SPDX-License-Identifier: MIT
// What is sent again and again: a line for each, with its count, its trouble, and a button that stops it.
import type { App } from "../app";
import { count, el, setText } from "../dom";
import type { Repeat, ServerMessage } from "../types";

interface Line { item: HTMLLIElement; text: HTMLElement; button: HTMLButtonElement; repeat: Repeat }

export class RepeatList {
  readonly root = el("ul", { class: "repeats", "aria-label": "what is sent again and again" });
  #app: App;
  #lines = new Map<number, Line>();

  constructor(app: App) {
    this.#app = app;
    this.root.hidden = true;
  }

  message(message: ServerMessage): void {
    if (message.kind !== "repeats") return;
    const named = new Set(message.repeats.map(({ repeat }) => repeat));
    for (const repeat of message.repeats) this.#show(repeat);
    for (const [number, line] of this.#lines) if (!named.has(number) && !line.repeat.over) this.#show({ ...line.repeat, over: true });
  }

  // They end with the connection to sonde.
  lost(): void {
    for (const { repeat } of this.#lines.values())
      if (!repeat.over) this.#show({ ...repeat, over: true, error: "it ended with the connection to sonde" });
  }

  #show(repeat: Repeat): void {
    const line = this.#lines.get(repeat.repeat) ?? this.#add(repeat);
    line.repeat = repeat;
    const of = repeat.count ? ` of ${count(repeat.count)}` : "";
    const where = repeat.id === this.#app.row?.id ? "" : `, row ${repeat.id}`;
    setText(line.text, `every ${count(repeat.every_ms)} ms${where}: ${count(repeat.sent)}${of} sent`
      + (repeat.error ? `; ${repeat.error}` : repeat.over ? "; over" : ""));
    line.text.classList.toggle("tr", repeat.error !== null);
    setText(line.button, repeat.over ? "×" : "Stop");
    line.button.setAttribute("aria-label", repeat.over ? `forget repeat ${repeat.repeat}` : `stop repeat ${repeat.repeat}`);
    // What ended as it should needs no answer.
    if (repeat.over && !repeat.error && line.button !== document.activeElement) this.#drop(repeat.repeat);
  }

  #add(repeat: Repeat): Line {
    const text = el("span", { class: "grow" });
    const button = el("button", { type: "button" });
    const line: Line = { item: el("li", { class: "row" }, text, button), text, button, repeat };
    button.addEventListener("click", () => void this.#pressed(line.repeat));
    this.#lines.set(repeat.repeat, line);
    this.root.append(line.item);
    this.root.hidden = false;
    return line;
  }

  async #pressed(repeat: Repeat): Promise<void> {
    if (repeat.over) return this.#drop(repeat.repeat);
    const answer = await this.#app.ask({ do: "stop", repeat: repeat.repeat }).catch(() => null);
    if (answer?.kind === "result" && !answer.ok) this.#app.say(answer.error ?? "It could not be stopped.");
  }

  #drop(number: number): void {
    this.#lines.get(number)?.item.remove();
    this.#lines.delete(number);
    this.root.hidden = this.#lines.size === 0;
  }
}
