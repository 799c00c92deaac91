// SPDX-License-Identifier: MIT
// The send box's File: chosen or dropped, with its progress.
import type { App } from "../app";
import { count, el, setText } from "../dom";
import type { Row } from "../types";
import { bytesOf } from "./messages_kept";
import { sendFile } from "./send_file";

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class FileBox {
  readonly root: HTMLElement;
  isRunning = false;
  #app: App;
  #changed: () => void;
  #tell: (text: string) => void;
  #file: File | null = null;
  #input = el("input", { type: "file", "aria-label": "file to send" });
  #about = el("p", { class: "preview mono" });
  #progress = el("progress", { max: 1, value: 0, "aria-label": "sent of the file" });
  #cancel = el("button", { type: "button", disabled: true }, "Cancel");
  #isOver = false;

  constructor(app: App, changed: () => void, tell: (text: string) => void) {
    this.#app = app;
    this.#changed = changed;
    this.#tell = tell;
    this.root = el("div", { class: "file", hidden: true }, this.#input, this.#about,
      el("div", { class: "row" }, this.#progress, this.#cancel));
    this.#input.addEventListener("change", () => this.#take(this.#input.files?.[0]));
    this.#cancel.addEventListener("click", () => this.stop());
  }

  // What is wrong; null: it can be sent.
  describe(row: Row | null): string | null {
    const limit = this.#app.welcome?.limits.send_bytes ?? 1 << 20;
    const isMessage = row?.messages_kind === "messages";
    const wrong = !this.#file ? "Choose a file, or drop it here."
      : isMessage && this.#file.size > limit ? `One message has at most ${count(limit)} bytes, this file has ${count(this.#file.size)}.` : null;
    const file = this.#file;
    setText(this.#about, wrong ?? `${file?.name ?? ""}: ${bytesOf(file?.size ?? 0)}${isMessage ? ", as one message" : ""}`);
    return wrong;
  }

  takeDrops(root: HTMLElement, taken: () => void): void {
    root.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      root.classList.add("drop");
    });
    for (const name of ["dragleave", "drop"]) root.addEventListener(name, () => root.classList.remove("drop"));
    root.addEventListener("drop", (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      if (this.isRunning) return;
      this.#take(file);
      taken();
    });
  }

  stop(): void {
    this.#isOver = true;
  }

  async send(row: Row): Promise<void> {
    const file = this.#file;
    if (!file || this.isRunning) return;
    this.#isOver = false;
    this.#running(true);
    this.#tell("");
    let sent = 0;
    const wrong = await sendFile({
      file, id: row.id, isMessage: row.messages_kind === "messages", sleep,
      ask: (command) => this.#app.ask(command), isOver: () => this.#isOver,
      progress: (bytes, waits) => {
        sent = bytes;
        this.#progress.value = file.size ? bytes / file.size : 1;
        this.#tell(`${count(bytes)} of ${bytesOf(file.size)}${waits ? "; waits, the peer reads slowly" : ""}`);
      },
    }).catch((error: unknown) => (error instanceof DOMException ? "The file can’t be read." : "The connection to sonde was lost."));
    this.#running(false);
    this.#tell(wrong ? `${wrong} ${count(sent)} of ${bytesOf(file.size)} had been sent.` : `${bytesOf(file.size)} sent.`);
  }

  #take(file: File | undefined): void {
    this.#file = file ?? null;
    this.#progress.value = 0;
    this.#changed();
  }

  #running(is: boolean): void {
    this.isRunning = is;
    this.#input.disabled = is;
    this.#cancel.disabled = !is;
    this.#changed();
  }
}
