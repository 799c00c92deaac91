// SPDX-License-Identifier: MIT
// The table of connections, its filter, and how many of them it shows.
import type { App, Create, View } from "../app";
import { count, el, setText } from "../dom";
import { plain } from "../text";
import { makeAgain } from "./again";
import { connectionsIn } from "./header";
import { columns, nextSort, sortRows, type Column, type Sort } from "./connections_columns";
import { Lines } from "./connections_rows";

const FILTER_WAIT_MS = 350;
const ROWS_FEW = 200;
const ROWS_MANY = 1000;
// Room for the rows while one is opened under them: in steps, so that what is below seldom moves.
const ROW_HEIGHT = 25.5, HEAD_HEIGHT = 26, ROWS_LEAST = 2, ROWS_STEP = 4, ROWS_MOST = 10;

export function roomFor(rows: number): number {
  const fit = rows <= ROWS_LEAST ? ROWS_LEAST : Math.min(ROWS_MOST, Math.ceil(rows / ROWS_STEP) * ROWS_STEP);
  return Math.ceil(HEAD_HEIGHT + fit * ROW_HEIGHT);
}

// "1 connection", "3 connections, 1 of them ended", "200 of 1,012 connections". What has ended is
// kept in the table for a while, and is not a connection any more.
export function sayHowMany(shown: number, all: number, ended: number): string {
  const connections = (n: number): string => (n === 1 ? "1 connection" : `${count(n)} connections`);
  if (shown < all) return `${count(shown)} of ${connections(all)}`;
  if (all === 0) return ended > 0 ? `none open, ${count(ended)} ended` : "";
  return ended > 0 ? `${connections(all)}, and ${count(ended)} ended` : connections(all);
}

interface Filter { root: HTMLElement; error: HTMLElement; input: HTMLInputElement }

// In the language of `sonde watch`, which sonde itself understands: what it says of a mistake is shown.
function makeFilter(app: App, applied: () => void): Filter {
  const input = el("input", {
    type: "search", placeholder: "state established and dst 10.0.0.0/8", spellcheck: "false", autocomplete: "off",
    autocapitalize: "off", "aria-describedby": "filter-error", "aria-keyshortcuts": "/", maxlength: 1000,
  });
  const error = el("p", { class: "filter-error", id: "filter-error", role: "alert", hidden: true });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sent = "";
  const send = async () => {
    clearTimeout(timer);
    const text = input.value.trim();
    if (text === sent) return;
    sent = text;
    const answer = await app.ask({ do: "filter", text }).catch(() => null);
    if (!answer || answer.kind !== "result") {
      sent = "\n";   // not heard: the same words may be tried again
      return;
    }
    if (sent !== text) return;
    error.hidden = answer.ok;
    setText(error, answer.ok ? "" : plain(answer.error ?? "This filter is not understood."));
    input.setAttribute("aria-invalid", String(!answer.ok));
    if (answer.ok) applied();
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => void send(), FILTER_WAIT_MS);
  });
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") void send(); });
  input.addEventListener("search", () => void send());
  return { root: el("label", { class: "f" }, "Filter ", input), error, input };
}

interface Heads { root: HTMLElement; cols: HTMLElement; show(sort: Sort | null): void }

function makeHeads(choose: (column: Column) => void): Heads {
  const heads = columns.map((column) => {
    const button = el("button", { type: "button", title: column.hint, click: () => choose(column) }, column.head);
    return el("th", { scope: "col", class: `${column.className}${column.isNumber ? " num" : ""}` }, button);
  });
  const cols = el("colgroup", null,
    ...columns.map((column) => el("col", { class: `${column.col} ${column.className}`.trim() })));
  const show = (sort: Sort | null) => columns.forEach((column, i) => {
    if (sort?.key === column.key)
      heads[i]?.setAttribute("aria-sort", sort.isDescending ? "descending" : "ascending");
    else heads[i]?.removeAttribute("aria-sort");
  });
  return { root: el("thead", null, el("tr", null, ...heads)), cols, show };
}

export const create: Create = (root, app) => {
  let sort: Sort | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const body = el("tbody");
  const scroll = el("div", { class: "conns-scroll" });
  const lines = new Lines(body, scroll);
  const redraw = () => {
    lines.orderNow();
    app.draw(view);
  };
  const filter = makeFilter(app, () => lines.orderNow());
  const heads = makeHeads((column) => {
    sort = nextSort(sort, column);
    heads.show(sort);
    redraw();
  });
  const table = el("table", { class: "conns", "aria-labelledby": "h-c" }, heads.cols, heads.root, body);
  scroll.append(table);
  const none = el("p", { class: "none" });
  const again = makeAgain(app);
  const facts = el("span", { class: "how-many" });
  const rows = el("button", { type: "button", hidden: true, click: () => {
    const max = rows.dataset["max"] === String(ROWS_MANY) ? ROWS_MANY : ROWS_FEW;
    void app.ask({ do: "rows", max }).catch(() => undefined);
    lines.orderNow();
  } });
  root.append(el("div", { class: "bar" }, el("h2", { id: "h-c" }, "Connections"), facts, rows, filter.root), filter.error, scroll,
    none, again.root);

  // Anywhere in a line; its link does the same.
  body.addEventListener("click", (event) => {
    const target = event.target as Element;
    const id = target.closest("tr")?.dataset["row"];
    if (id === undefined || target.closest("a") || getSelection()?.isCollapsed === false) return;
    app.open(Number(id));
  });

  const drawHowMany = (shown: number, all: number, ended: number) => {
    setText(facts, sayHowMany(shown, all, ended));
    const max = shown < all && shown < ROWS_MANY ? ROWS_MANY : ROWS_FEW;
    rows.dataset["max"] = String(max);
    rows.hidden = shown >= all && shown <= ROWS_FEW;
    setText(rows, max === ROWS_MANY ? `Show ${count(Math.min(all, ROWS_MANY))}` : `Show ${count(ROWS_FEW)}`);
  };
  const drawNone = (isEmpty: boolean) => {
    none.hidden = !isEmpty;
    if (isEmpty) setText(none, filter.input.value.trim() ? "No connection matches the filter."
      : app.welcome?.verb === "watch" ? "None." : "None yet.");
  };
  const drawRoom = (n: number) => {
    const height = app.row ? `${roomFor(n)}px` : "";
    if (scroll.style.height !== height) scroll.style.height = height;
  };

  const view: View = {
    message(message) {
      if (message.kind === "overview") app.draw(view);
    },
    opened(row) {
      app.draw(view);
      const line = row && body.querySelector(`tr[data-row="${row.id}"]`);
      // When what is new has been laid out: asked before, the browser does it at once, and then again.
      if (line) requestAnimationFrame(() => requestAnimationFrame(() => line.scrollIntoView({ block: "nearest" })));
    },
    connected(is) {
      again.connected(is);
      app.draw(view);
    },
    frame(now) {
      again.draw(app.row === null, null);
      const overview = app.overview;
      drawNone(!overview || overview.rows.length === 0);
      drawRoom(lines.size);
      if (!overview) return;
      // Who serves or connects knows its own ends; and columns that come and go are worse than one that says little.
      table.classList.toggle("locals", !["serve", "connect"].includes(app.welcome?.verb ?? ""));
      const due = lines.set(sortRows(overview.rows, sort), app.row?.id ?? null, now);
      clearTimeout(timer);
      if (due > 0) timer = setTimeout(() => app.draw(view), due);
      const isFile = app.welcome?.verb === "trace";
      const ended = isFile ? 0 : overview.rows.filter((row) => row.ended).length;
      drawHowMany(isFile ? overview.rows.length : overview.shown, connectionsIn(app.welcome, overview), ended);
    },
  };
  return view;
};
