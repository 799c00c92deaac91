// SPDX-License-Identifier: MIT
// The top bar: which sonde this is, how much there is to see, what may be done here.
import type { App, Create, View } from "../app";
import { count, el, setText } from "../dom";
import { plain, setName } from "../text";
import type { Overview, Welcome } from "../types";

const RIGHT_NAMES = ["see", "send", "kick", "run"] as const;

function rightsOf(app: App): string {
  const welcome = app.welcome;
  if (!welcome) return "";
  if (welcome.read_only) return "read-only: this page may look, and do nothing";
  return `rights: ${RIGHT_NAMES.filter((right) => app.can(right)).join(", ")}`;
}

// In a file all have ended: they are what there is.
export function connectionsIn(welcome: Welcome | null, overview: Overview): number {
  return welcome?.verb === "trace" ? Math.max(overview.connections, overview.rows.length) : overview.connections;
}

// Where port 0 was asked for, people need the one that it became.
export function whereOf(title: string, listeners: { address: string }[]): string {
  if (!/:0(?![\d:.])/.test(title)) return "";
  const all = [...new Set(listeners.map(({ address }) => address))].filter((address) => !title.includes(address));
  if (all.length === 0) return "";
  return `at ${all.slice(0, 3).join(", ")}${all.length > 3 ? `, and ${count(all.length - 3)} more` : ""}`;
}

export const create: Create = (root, app) => {
  const title = el("span", { class: "addr mono" });
  const connections = el("dd", { class: "n5" }, "–");
  const events = el("dd", { class: "n5" }, "–");
  const attention = el("dd", { class: "n3" }, "–");
  const rights = el("span", { class: "rights" });
  const pause = el("button", {
    type: "button", class: "pause", "aria-pressed": "false", disabled: true, "aria-keyshortcuts": "p",
    click: () => document.dispatchEvent(new Event("sonde-pause")),
  }, "Pause ", el("kbd", null, "p"));
  const help = el("button", {
    type: "button", class: "help", "aria-label": "keys", title: "keys", "aria-keyshortcuts": "?",
    click: () => document.dispatchEvent(new Event("sonde-keys")),
  }, "?");
  const fact = (label: string, value: HTMLElement) => el("div", null, el("dt", null, label), value);
  root.append(el("h1", null, "sonde"), title,
    el("dl", { class: "facts" }, fact("connections", connections), fact("events/s", events),
      fact("need attention", attention)),
    rights, pause, help);

  let whole = "";
  const view: View = {
    message(message) {
      if (message.kind === "welcome" || message.kind === "overview") app.draw(view);
    },
    connected(is) {
      pause.disabled = !is;
    },
    paused(is) {
      pause.setAttribute("aria-pressed", String(is));
    },
    frame() {
      const { welcome, overview } = app;
      if (welcome) {
        const where = welcome.verb === "serve" ? whereOf(welcome.title, overview?.listeners ?? []) : "";
        whole = where ? `${welcome.title} ${where}` : welcome.title;
        setName(title, whole);
        title.title = plain(whole);
        setText(rights, rightsOf(app));
      }
      if (!overview) return;
      const n = overview.attention.length;
      setText(connections, count(connectionsIn(welcome, overview)));
      setText(events, count(Math.round(overview.events_per_s)));
      setText(attention, count(n));
      attention.classList.toggle("tr", n > 0);
      const name = `${n > 0 ? `(${n}) ` : ""}sonde: ${plain(whole)}`;
      if (document.title !== name) document.title = name;
    },
  };
  return view;
};
