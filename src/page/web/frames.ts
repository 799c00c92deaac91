// SPDX-License-Identifier: MIT
// One frame for all views that want to be drawn. What does not fit into a frame's time is drawn in the next one, and
// first there: a view that comes a sixtieth of a second later is not noticed, a frame that is skipped is.
import type { View } from "./app";

export interface FrameClock {
  now(): number;
  request(act: (now: number) => void): void;
}

const BUDGET_MS = 8;   // of 16.7: the browser's own layout and paint come on top

export class Frames {
  #pending = new Set<View>();
  #isAsked = false;
  readonly #clock: FrameClock;
  readonly #guard: (act: () => void) => void;

  // One view's mistake is not to stop the others: guard calls, and catches.
  constructor(clock: FrameClock, guard: (act: () => void) => void) {
    this.#clock = clock;
    this.#guard = guard;
  }

  draw(view: View): void {
    this.#pending.add(view);
    this.#ask();
  }

  #ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#clock.request((now) => this.#frame(now));
  }

  #frame(now: number): void {
    this.#isAsked = false;
    const views = [...this.#pending], until = this.#clock.now() + BUDGET_MS;
    this.#pending.clear();
    let n = 0;
    do {
      const view = views[n++];
      if (view) this.#guard(() => view.frame?.(now));
    } while (n < views.length && this.#clock.now() < until);
    if (n >= views.length) return;
    this.#pending = new Set([...views.slice(n), ...this.#pending]);
    this.#ask();
  }
}
