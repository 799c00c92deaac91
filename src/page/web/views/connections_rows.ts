// SPDX-License-Identifier: MIT
// The table's body: one <tr> for each row, kept and changed where it differs. Rows keep their place for a while after
// they were ordered, so that nothing jumps under the cursor: new ones stand last until then, those that are gone stay,
// struck out.
import { el } from "../dom";
import { plain, setName } from "../text";
import type { Row } from "../types";
import { columns, type Column } from "./connections_columns";

const MADE_AT_ONCE = 25; // new lines in one frame
export const KEEP_MS = 2000;

function chipClass(row: Row): string {
  return row.class === "none" ? "chip" : `chip ${row.class}`;
}

// What of a row its line has drawn, cell by cell: compared rather than read back from the page.
class Line {
  readonly root: HTMLTableRowElement;
  readonly link: HTMLAnchorElement;
  isGone = false;
  isNear = true;             // in sight, or nearly: its figures are drawn
  #raw: unknown[] = [];
  #layersShown: string | null = null;
  #classes: (string | null)[] = [];
  #row: Row | null = null;
  #inner: HTMLElement[] = [];
  #layers = el("span", { class: "mute" });
  #opened = false;

  constructor(readonly id: number) {
    this.link = el("a", { href: `#row-${id}`, tabindex: -1 });
    this.root = el("tr", { "data-row": id });
    for (const column of columns) this.root.append(this.#cell(column.key, column.className, column.isNumber));
  }

  #cell(key: string, className: string, isNumber: boolean): HTMLElement {
    if (key === "peer") {
      const peer = el("bdi");
      this.link.append(peer, this.#layers);
      this.#inner.push(peer);
      return el("th", { scope: "row" }, this.link);
    }
    const classes = `${className}${isNumber ? " num" : ""}${key === "local" ? " mono" : ""}`.trim() || null;
    const inner = key === "state" || key === "verdict" ? el("span") : null;
    const cell = el("td", { class: classes }, inner);
    this.#inner.push(inner ?? cell);
    return cell;
  }

  set(row: Row, isOpened: boolean): void {
    if (this.isGone) this.#setGone(false);
    this.#row = row;
    this.#draw(row);
    if (isOpened !== this.#opened) {
      this.#opened = isOpened;
      this.root.classList.toggle("opened", isOpened);
      if (isOpened) this.link.setAttribute("aria-current", "true");
      else this.link.removeAttribute("aria-current");
    }
  }

  setNear(is: boolean): void {
    this.isNear = is;
    if (is && this.#row && !this.isGone) this.#draw(this.#row);
  }

  // Names, states and verdicts always; figures only where somebody can see them.
  #draw(row: Row): void {
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i], inner = this.#inner[i];
      if (!column || !inner || (column.isNumber && !this.isNear)) continue;
      this.#setClass(i, inner, column, row);
      const raw = column.raw(row);
      if (i in this.#raw && this.#raw[i] === raw) continue;
      this.#raw[i] = raw;
      this.#setText(inner, column, row);
    }
    if (row.layers === this.#layersShown) return;
    this.#layersShown = row.layers;
    setName(this.#layers, row.layers ? ` ${row.layers}` : "");
  }

  #setText(inner: HTMLElement, column: Column, row: Row): void {
    const text = column.text(row);
    setName(inner, text);
    if (column.isNumber || column.key === "state") return;
    // What does not fit is cut: it can be had whole all the same.
    const whole = column.key === "peer" ? `${text} to ${row.local}` : text;
    (inner.closest("th, td") as HTMLElement).title = plain(whole);
  }

  #setClass(i: number, inner: HTMLElement, column: Column, row: Row): void {
    const className = this.#className(column, row);
    if (className === null || this.#classes[i] === className) return;
    this.#classes[i] = className;
    inner.className = className;
  }

  // null: the class never changes.
  #className(column: Column, row: Row): string | null {
    if (column.key === "state") return chipClass(row);
    if (column.key === "verdict") return row.trouble ? "badge" : "mute";
    return column.isHot ? `${column.className} num${column.isHot(row) ? " hot" : ""}` : null;
  }

  setGone(): void {
    if (!this.isGone) this.#setGone(true);
  }

  #setGone(is: boolean): void {
    this.isGone = is;
    this.root.classList.toggle("gone", is);
  }
}

export class Lines {
  #lines = new Map<number, Line>();
  #orderedAt = -Infinity;
  #touchedAt = -Infinity;
  #mustOrder = true;
  #tabStop: Line | null = null;

  #sight: IntersectionObserver;

  // scroll: what the body is seen through.
  constructor(readonly body: HTMLTableSectionElement, scroll: HTMLElement) {
    this.#sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries)
        this.#lines.get(Number((target as HTMLElement).dataset["row"]))?.setNear(isIntersecting);
    }, { root: scroll, rootMargin: "400px" });
    const touched = () => { this.#touchedAt = performance.now(); };
    for (const name of ["pointermove", "pointerdown", "keydown"]) body.addEventListener(name, touched, { passive: true });
    body.addEventListener("focusin", (event) => {
      const id = (event.target as Element).closest("tr")?.dataset["row"];
      if (id !== undefined) this.#setTabStop(this.#lines.get(Number(id)) ?? null);
    });
  }

  get size(): number {
    return this.body.childElementCount;
  }

  // At the next set, whatever was touched: the order was chosen.
  orderNow(): void {
    this.#mustOrder = true;
  }

  // In how long the order is due; 0: it is as it should be. rows: in order.
  set(rows: Row[], openedId: number | null, now: number): number {
    const there = new Set<number>();
    let isDue = false, made = 0;
    for (const row of rows) {
      there.add(row.id);
      let line = this.#lines.get(row.id);
      if (!line) {
        if (made++ >= MADE_AT_ONCE) continue;
        this.#lines.set(row.id, line = new Line(row.id));
        this.body.append(line.root);
        this.#sight.observe(line.root);
      }
      line.set(row, row.id === openedId);
    }
    if (made > MADE_AT_ONCE) return 1; // the others in the next frames, and then the order
    for (const [id, line] of this.#lines) {
      if (there.has(id)) continue;
      line.setGone();
      isDue = true;
    }
    let at = this.body.firstElementChild;
    for (const row of rows) {
      if (isDue || at !== this.#lines.get(row.id)?.root) {
        isDue = true;
        break;
      }
      at = at?.nextElementSibling ?? null;
    }
    if (!isDue) return this.#settle();
    const wait = KEEP_MS - (now - Math.max(this.#orderedAt, this.#touchedAt));
    if (wait > 0 && !this.#mustOrder) return wait;
    this.#order(rows, there);
    this.#orderedAt = now;
    return this.#settle();
  }

  #settle(): number {
    this.#mustOrder = false;
    if (!this.#tabStop?.root.isConnected) this.#setTabStop(this.#lines.get(this.#firstId()) ?? null);
    return 0;
  }

  #firstId(): number {
    return Number((this.body.firstElementChild as HTMLElement | null)?.dataset["row"] ?? -1);
  }

  #order(rows: Row[], there: Set<number>): void {
    const focused = document.activeElement;
    for (const [id, line] of this.#lines) {
      if (there.has(id)) continue;
      this.#sight.unobserve(line.root);
      line.root.remove();
      this.#lines.delete(id);
    }
    let next = this.body.firstElementChild;
    for (const row of rows) {
      const line = this.#lines.get(row.id)?.root;
      if (!line) continue;
      if (line === next) next = next.nextElementSibling;
      else this.body.insertBefore(line, next);
    }
    // What was moved has lost the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected)
      focused.focus({ preventScroll: true });
  }

  // One link of the table is reached with Tab, the others from there with the arrows.
  #setTabStop(line: Line | null): void {
    if (this.#tabStop === line) return;
    if (this.#tabStop) this.#tabStop.link.tabIndex = -1;
    if (line) line.link.tabIndex = 0;
    this.#tabStop = line;
  }
}
