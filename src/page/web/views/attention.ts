// SPDX-License-Identifier: MIT
// What needs attention: each a link to where it is shown.
import type { Create, View } from "../app";
import { count, el, setText } from "../dom";
import { name, plain } from "../text";
import type { Attention } from "../types";

const SHOWN_MAX = 12;

function itemKey(item: Attention): string {
  return `${item.row ?? ""}/${item.listener ?? ""}/${item.who}`;
}

// What is wrong with the machine as a whole is shown nowhere else, and so whole.
function sentenceOf(item: Attention): string {
  return plain(item.verdict ?? item.brief);
}

function makeItem(item: Attention): HTMLLIElement {
  if (item.row === null && item.listener === null)
    return el("li", null, el("span", null, plain(item.who), ": ", el("span", { class: "what" }, sentenceOf(item))));
  const href = item.row !== null ? `#row-${item.row}` : `#listener-${item.listener}`;
  const what = el("span", { class: "what" }, sentenceOf(item));
  const link = el("a", { href }, name(item.who), ": ", what);
  if (item.row === null) link.addEventListener("click", (event) => {
    // The address bar keeps the row that is open.
    event.preventDefault();
    const there = document.getElementById(`listener-${item.listener}`);
    there?.scrollIntoView({ block: "nearest" });
    there?.focus();
  });
  return el("li", null, link);
}

export const create: Create = (root, app) => {
  const list = el("ol", { class: "att" });
  root.append(el("h2", null, "Needs attention"), list);
  const calm = el("li", { class: "calm" }, "Nothing does.");
  const more = el("li", { class: "calm" });
  let items = new Map<string, HTMLLIElement>();

  const view: View = {
    message(message) {
      if (message.kind === "overview") app.draw(view);
    },
    frame() {
      const all = app.overview?.attention ?? [];
      const next = new Map<string, HTMLLIElement>();
      for (const item of all.slice(0, SHOWN_MAX)) {
        const key = itemKey(item);
        const made = items.get(key) ?? makeItem(item);
        const what = made.querySelector(".what");
        if (what) setText(what, sentenceOf(item));
        next.set(key, made);
      }
      items = next;
      const wanted = [...next.values()];
      if (all.length === 0) wanted.push(calm);
      if (all.length > SHOWN_MAX) {
        setText(more, `and ${count(all.length - SHOWN_MAX)} more: they stand first in the table`);
        wanted.push(more);
      }
      if (wanted.length !== list.children.length || wanted.some((item, i) => list.children[i] !== item))
        list.replaceChildren(...wanted);
    },
  };
  return view;
};
