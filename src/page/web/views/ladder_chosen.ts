// SPDX-License-Identifier: MIT
// Segments can be chosen: with a click, or with the arrow keys and Enter. One of them takes the focus for all (a roving
// tabindex), so that Tab goes past the ladder in one step.
import type { App } from "../app";

type Target = SVGElement | HTMLElement;

const moves: Record<string, (at: number, n: number) => number> = {
  ArrowDown: (at) => at + 1, ArrowRight: (at) => at + 1, ArrowUp: (at) => at - 1, ArrowLeft: (at) => at - 1,
  Home: () => 0, End: (_at, n) => n - 1, PageDown: (at) => at + 10, PageUp: (at) => at - 10,
};

export class Chosen {
  private segment: number | null = null;
  private roving: string | null = null; // the segment that Tab comes to; null: the chosen one, or the newest

  // reveal: what is far from what is seen may not be there yet.
  constructor(private readonly box: HTMLElement, private readonly app: App, private readonly reveal: (edge: "first" | "last") => void) {
    box.addEventListener("click", (event) => { this.choose(event); });
    box.addEventListener("keydown", (event) => { this.key(event); });
    box.addEventListener("focusin", (event) => {
      const target = this.targetOf(event);
      if (target) this.rove(target.dataset.segment ?? null);
    });
    app.onSelect((segment) => {
      this.segment = segment;
      this.refresh();
    });
  }

  private targetOf(event: Event): Target | null {
    return event.target instanceof Element ? event.target.closest<Target>("[data-segment]") : null;
  }

  private targets(): Target[] {
    return [...this.box.querySelectorAll<Target>("[data-segment]")].filter((target) => !target.closest("[hidden]"));
  }

  private choose(event: Event): void {
    const target = this.targetOf(event);
    if (!target) return;
    const segment = Number(target.dataset.segment);
    this.app.select(segment === this.segment ? null : segment);
    target.focus({ preventScroll: true });
  }

  private key(event: KeyboardEvent): void {
    const target = this.targetOf(event);
    if (!target || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault(); // a button would be clicked too
      this.choose(event);
      return;
    }
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    if (event.key === "Home" || event.key === "End") this.reveal(event.key === "Home" ? "first" : "last");
    const targets = this.targets(), to = move(targets.indexOf(target), targets.length);
    const next = targets[Math.max(0, Math.min(targets.length - 1, to))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  private rove(segment: string | null): void {
    this.roving = segment;
    this.refresh();
  }

  // After each drawing: which is chosen, and which one Tab comes to.
  refresh(): void {
    const targets = this.targets();
    const find = (segment: string | null): Target | undefined => targets.find((target) => target.dataset.segment === segment);
    const stop = find(this.roving) ?? find(String(this.segment)) ?? targets[targets.length - 1];
    for (const target of targets) {
      const isChosen = this.segment !== null && target.dataset.segment === String(this.segment);
      if (target.classList.contains("sel") !== isChosen) {
        target.classList.toggle("sel", isChosen);
        target.setAttribute("aria-pressed", String(isChosen));
      }
      const index = target === stop ? "0" : "-1";
      if (target.getAttribute("tabindex") !== index) target.setAttribute("tabindex", index);
    }
  }
}
