// SPDX-License-Identifier: MIT
// Listening sockets, and how full their queues are.
import type { Create, View } from "../app";
import { count, el, setText } from "../dom";
import { name, plain, setName, splitSentence } from "../text";
import type { Listener } from "../types";

const LEGEND: [string, string, string][] = [
  ["half", "opening", "SYN_SENT SYN_RECV"],
  ["open", "open", "ESTABLISHED"],
  ["shut", "closing", "FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT CLOSING LAST_ACK"],
  ["wait", "waiting", "TIME_WAIT"],
];

interface Gauge { root: HTMLElement; meter: HTMLMeterElement; figure: HTMLElement }

function makeGauge(label: string): Gauge {
  const meter = el("meter", { min: 0, max: 1, value: 0 });
  const figure = el("span", { class: "num" });
  return { root: el("div", { class: "gauge" }, el("span", null, label), meter, figure), meter, figure };
}

// A limit of n holds n + 1: the kernel drops when the queue is longer than the limit.
function setGauge(gauge: Gauge, label: string, value: number | null, limit: number | null, full: boolean): void {
  gauge.root.hidden = value === null;
  if (value === null) return;
  const text = limit === null ? count(value) : `${count(value)} / ${count(limit)}`;
  setText(gauge.figure, full ? `full ${text}` : text);
  gauge.root.classList.toggle("full", full);
  const max = limit === null ? Math.max(1, value) : limit + 1;
  if (gauge.meter.max !== max) gauge.meter.max = max;
  if (gauge.meter.value !== Math.min(value, max)) gauge.meter.value = Math.min(value, max);
  const spoken = `${label} ${count(value)}${limit === null ? "" : `, limit ${count(limit)}`}${full ? ", full" : ""}`;
  if (gauge.meter.getAttribute("aria-label") !== spoken) gauge.meter.setAttribute("aria-label", spoken);
  if (gauge.meter.title !== spoken) gauge.meter.title = spoken;
}

const isInTrouble = (listener: Listener): boolean => listener.full || listener.verdict !== null;

class Card {
  readonly root: HTMLElement;
  #protocol = el("span", { class: "mute" });
  #address = name("");
  #who = el("p", { class: "mute" });
  #queue = makeGauge("accept queue");
  #halfOpen = makeGauge("half-open");
  #dropped = el("p");
  #what = el("b");
  #rest = el("span");
  #why = el("p", { class: "why" }, this.#what, this.#rest);

  constructor(listener: Listener) {
    this.root = el("article", { class: "lst", id: `listener-${listener.id}`, tabindex: -1 },
      el("h3", { class: "mono" }, this.#protocol, " ", this.#address), this.#who, this.#queue.root,
      this.#halfOpen.root, this.#dropped, this.#why);
  }

  set(listener: Listener): void {
    setText(this.#protocol, listener.protocol);
    setName(this.#address, listener.address);
    const who = [listener.note, listener.owner].filter((part) => part !== null).join(", ");
    setName(this.#who, who || "whose it is could not be found");
    setGauge(this.#queue, "accept queue", listener.queue, listener.limit, listener.full);
    setGauge(this.#halfOpen, "half-open", listener.half_open, listener.limit, false);
    this.#dropped.hidden = !listener.dropped;
    if (listener.dropped) setText(this.#dropped, `${count(listener.dropped)} ${listener.dropped === 1 ? "attempt" : "attempts"} dropped`);
    const sentence = listener.verdict ?? listener.brief;
    this.#why.hidden = sentence === null;
    if (sentence === null) return;
    const [what, rest] = splitSentence(sentence);
    setText(this.#what, plain(what));
    setName(this.#rest, rest);
  }
}

function legend(): Node[] {
  const items = LEGEND.map(([kind, word, states]) =>
    el("li", null, el("span", { class: `chip ${kind}` }, word), el("span", null, states)));
  return [el("h2", { class: "legend-head" }, "States"), el("ul", { class: "legend" }, ...items)];
}

export const create: Create = (root, app) => {
  const list = el("div");
  const none = el("p", { class: "mute" }, "None.");
  const head = el("h2", null, "Listeners");
  root.append(head, list, none, ...legend());
  const cards = new Map<number, Card>();

  const view: View = {
    message(message) {
      if (message.kind === "overview") app.draw(view);
    },
    frame() {
      const all = app.overview?.listeners ?? [];
      // Those in trouble first: what follows may be long.
      const listeners = [...all.filter(isInTrouble), ...all.filter((listener) => !isInTrouble(listener))];
      const there = new Set(listeners.map((listener) => listener.id));
      for (const [id, card] of cards) {
        if (there.has(id)) continue;
        card.root.remove();
        cards.delete(id);
      }
      listeners.forEach((listener, at) => {
        let card = cards.get(listener.id);
        if (!card) cards.set(listener.id, card = new Card(listener));
        card.set(listener);
        if (list.children[at] !== card.root) list.insertBefore(card.root, list.children[at] ?? null);
      });
      // Who connects, reads a file, or has come for the lab has none to look at.
      const isAbout = listeners.length > 0 || ["serve", "watch"].includes(app.welcome?.verb ?? "serve");
      head.hidden = !isAbout;
      none.hidden = !isAbout || listeners.length > 0;
    },
  };
  return view;
};
