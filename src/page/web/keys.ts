// SPDX-License-Identifier: MIT
// Keys that work anywhere on the page, and the dialog that lists all keys.
import { el } from "./dom";
import type { PageState } from "./page_state";

const KEYS: [string, string][] = [
  ["/", "to the filter"],
  ["m", "to the message to send"],
  ["j, ↓", "the next connection"],
  ["k, ↑", "the one before"],
  ["Home, End", "the first, the last connection"],
  ["Enter", "open the connection; on a segment: its layers"],
  ["Esc", "leave the filter; close the connection"],
  ["p", "pause and go on"],
  ["Ctrl ↵", "send the message"],
  ["?", "these keys"],
];

function makeDialog(): HTMLDialogElement {
  const rows = KEYS.flatMap(([key, what]) => [el("dt", null, el("kbd", null, key)), el("dd", null, what)]);
  const dialog = el("dialog", { "aria-labelledby": "h-keys", id: "keys" },
    el("h2", { id: "h-keys" }, "Keys"),
    el("dl", { class: "keys" }, ...rows),
    el("form", { method: "dialog" }, el("button", { class: "primary" }, "Close")));
  // A click beside it.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  return dialog;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
}

function rowLinks(): HTMLAnchorElement[] {
  return [...document.querySelectorAll<HTMLAnchorElement>("#conns tbody a")];
}

// From the row that has the focus, or the opened one, or the first.
function moveInTable(step: number): void {
  const links = rowLinks();
  const at = links.findIndex((link) => link === document.activeElement);
  const from = at >= 0 ? at : links.findIndex((link) => link.hasAttribute("aria-current"));
  const to = from < 0 ? 0 : Math.max(0, Math.min(links.length - 1, from + step));
  links[to]?.focus();
}

function escape(app: PageState, target: EventTarget | null): void {
  if (isTyping(target)) (target as HTMLElement).blur();
  else if (app.row) app.open(null);
}

export function listenForKeys(app: PageState): void {
  const dialog = makeDialog();
  const acts: Record<string, () => void> = {
    "/": () => document.querySelector<HTMLInputElement>("#conns input[type=search]")?.focus(),
    m: () => document.getElementById("send-text")?.focus(),
    "?": () => dialog.showModal(),
    p: () => void app.togglePause(),
    j: () => moveInTable(1),
    k: () => moveInTable(-1),
  };
  const tableActs: Record<string, () => void> = {
    ArrowDown: () => moveInTable(1),
    ArrowUp: () => moveInTable(-1),
    Home: () => moveInTable(-Infinity),
    End: () => moveInTable(Infinity),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.key === "Escape") return escape(app, event.target);
    if (isTyping(event.target)) return;
    const isInTable = event.target instanceof Element && event.target.closest("#conns tbody") !== null;
    const act = acts[event.key] ?? (isInTable ? tableActs[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  });
  // Buttons of the views do the same.
  document.addEventListener("sonde-keys", () => dialog.showModal());
  document.addEventListener("sonde-pause", () => void app.togglePause());
  document.addEventListener("sonde-retry", () => app.retry());
}
