// SPDX-License-Identifier: MIT
// Steps under way: one run at a time, which a button stops.
import { el } from "../dom";
import type { ServerMessage } from "../types";
import { walk } from "./send_steps";
import type { Step } from "./send_steps";

export class StepsRun {
  readonly stop = el("button", { type: "button", hidden: true }, "Stop");
  isRunning = false;
  #send: (name: string) => Promise<boolean>;
  #changed: () => void;
  #isOver = false;
  #received = 0;           // messages from the peer, in all, and when the last step was sent
  #receivedBefore = 0;
  #wake: (() => void) | null = null;

  constructor(send: (name: string) => Promise<boolean>, changed: () => void) {
    this.#send = send;
    this.#changed = changed;
    this.stop.addEventListener("click", () => this.end());
  }

  message(message: ServerMessage): void {
    if (message.kind !== "messages") return;
    const n = message.messages.filter(({ way }) => way === "in").length;
    this.#received += n;
    if (n && this.#received > this.#receivedBefore) this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async run(steps: Step[], tell: (text: string) => void): Promise<void> {
    if (this.isRunning) return;
    this.isRunning = true;
    this.#isOver = false;
    this.#changed();
    const said = await walk(steps, {
      send: (name) => {
        this.#receivedBefore = this.#received;
        return this.#send(name);
      },
      sleep: (ms) => this.#until(ms, false),
      heard: async (ms) => {
        if (this.#received <= this.#receivedBefore) await this.#until(ms, true);
        return this.#received > this.#receivedBefore;
      },
      isOver: () => this.#isOver,
      at: (step) => tell(`Step ${step} of ${steps.length}`),
    });
    this.isRunning = false;
    this.#changed();
    tell(said);
  }

  // A pause, which the button ends; with `byPeer`, what the peer sends does as well.
  #until(ms: number, byPeer: boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = () => { if (byPeer || this.#isOver) done(); };
    });
  }
}
