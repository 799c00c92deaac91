// SPDX-License-Identifier: MIT
// Long work in slices: a few milliseconds of each frame, and what can wait while the browser has nothing else to do.

// At each yield somebody else may go on; "frame": the next step takes long, or has the browser draw much.
export type Work = Generator<void | "frame">;

const SLICE_MS = 8;
const IDLE_MS = 4; // less time than this is not worth beginning

export class Slices {
  private work: Work | null = null;
  spent = 0; // milliseconds, by what was done last
  private timer = 0;
  private idle = 0;

  constructor(private readonly askForFrame: () => void) {}

  get isBusy(): boolean { return this.work !== null; }

  start(work: Work): void {
    this.stop();
    this.spent = 0;
    this.work = work;
  }

  stop(): void {
    this.work = null;
    clearTimeout(this.timer);
    cancelIdle(this.idle);
  }

  // One slice; true: nothing is left of it.
  go(): boolean {
    const begun = performance.now();
    let now = begun;
    while (this.work) {
      const work = this.work, step = work.next();
      now = performance.now();
      if (step.done) {
        if (this.work === work) this.work = null;
      } else if (step.value === "frame" || now - begun >= SLICE_MS) {
        this.askForFrame();
        break;
      }
    }
    this.spent += now - begun;
    return this.work === null;
  }

  // After so long without other work, a little at a time, as long as there is more.
  later(ms: number, some: () => boolean): void {
    clearTimeout(this.timer);
    cancelIdle(this.idle);
    const next = (): void => {
      this.idle = whenIdle((left) => {
        if (this.work || (left >= IDLE_MS && !some())) return;
        if (!this.work) next();
      });
    };
    this.timer = window.setTimeout(next, ms);
  }
}

// Not every browser tells when it is idle.
const knows = typeof requestIdleCallback === "function";
const whenIdle = (then: (left: number) => void): number =>
  (knows ? requestIdleCallback((deadline) => { then(deadline.timeRemaining()); }) : window.setTimeout(() => { then(IDLE_MS); }, 50));
const cancelIdle = (id: number): void => { if (knows) cancelIdleCallback(id); else clearTimeout(id); };
