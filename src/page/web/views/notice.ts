// SPDX-License-Identifier: MIT
// The bar under the top: how much of the truth this page shows right now. It is always there, so that nothing moves when
// it has something to say.
import type { App, Create, View } from "../app";
import { count, el } from "../dom";
import type { FeedState } from "../feed";
import type { Overview } from "../types";

const ROWS_MAX = 1000;

export interface Said { className: string; bold: string; text: string; action: "more" | "retry" | "resume" | null }

const seconds = (ms: number): string => `${Number((ms / 1000).toPrecision(2))} s`;

function sayFeed(feed: FeedState): Said | null {
  switch (feed.is) {
    case "no-token":
      return { className: "lost", bold: "Open the URL that sonde printed:", action: null,
        text: "this one lacks the part behind #, which lets you in." };
    case "connecting": return { className: "", bold: "", text: "Connecting to sonde …", action: null };
    case "refused":
      return { className: "lost", bold: "This is another sonde than the one this page was opened with.", action: null,
        text: "Open the URL that it printed when it was started." };
    case "lost":
      return { className: "lost", bold: feed.why ?? "The connection to sonde is lost.", action: "retry",
        text: `What is shown is as it was last. Looking for it again, next in ${seconds(feed.retryMs)}.` };
    case "open": return null;
  }
}

function saySampled(overview: Overview): Said | null {
  const { sampled, connections, shown } = overview;
  const rows = shown < connections
    ? `the table shows ${count(shown)} of ${count(connections)} connections, those in trouble first` : "";
  const events = sampled && sampled.events_one_in > 1 ? `the ladder draws 1 event in ${count(sampled.events_one_in)}` : "";
  const traced = sampled && sampled.connections_one_in > 1
    ? `events are kept of 1 connection in ${count(sampled.connections_one_in)}, and of each from when it is opened` : "";
  if (!rows && !events && !sampled) return null;
  const what = [rows, events, traced].filter((part) => part !== "").join("; ");
  // Nothing is left out, but it is told less often.
  if (!what) return { className: "sampled", bold: "Slower:", action: null, text: `${(sampled?.why ?? "").replace(/[.]+$/, "")}.` };
  const exact = traced ? "Bytes, states and verdicts are of all." : "Counts and verdicts use every event.";
  return { className: "sampled", bold: "Sampled:", text: `${what}. ${exact}`,
    action: rows && shown < ROWS_MAX ? "more" : null };
}

// One sentence, the most pressing one.
export function say(feed: FeedState, overview: Overview | null, isPaused: boolean, since: string): Said {
  const lost = sayFeed(feed);
  if (lost) return lost;
  if (isPaused)
    return { className: "paused", bold: "Paused.", action: "resume",
      text: `What is shown is as it was at ${since}. sonde goes on, and counts.` };
  if (!overview) return { className: "", bold: "", text: "Connected.", action: null };
  const sampled = saySampled(overview);
  if (sampled) return sampled;
  const updates = overview.missed === 1 ? "1 update was" : `${count(overview.missed)} updates were`;
  const missed = overview.missed > 0 ? ` ${updates} passed over: this browser was slow.` : "";
  return { className: "", bold: "", action: null,
    text: `Nothing is left out: this page shows every connection, and every event.${missed}` };
}

const ACTIONS = { more: `Show ${count(ROWS_MAX)}, slower`, retry: "Try now", resume: "Go on" };

export const create: Create = (root, app: App) => {
  let feed: FeedState = { is: "connecting" };
  let isPaused = false;
  let since = "";
  let shown = "";
  const act = (action: keyof typeof ACTIONS) => {
    if (action === "more") void app.ask({ do: "rows", max: ROWS_MAX }).catch(() => undefined);
    else document.dispatchEvent(new Event(action === "retry" ? "sonde-retry" : "sonde-pause"));
  };
  const line = el("p", { role: "status" });
  const place = el("span");
  root.append(line, place);

  const view: View = {
    message(message) {
      if (message.kind === "overview" || message.kind === "welcome") app.draw(view);
    },
    feed(state) {
      feed = state;
      document.body.classList.toggle("no-token", state.is === "no-token");
      app.draw(view);
    },
    paused(is) {
      isPaused = is;
      since = new Date().toLocaleTimeString("en-GB");
      app.draw(view);
    },
    frame() {
      const said = say(feed, app.overview, isPaused, since);
      const key = JSON.stringify(said);
      if (key === shown) return;
      shown = key;
      root.className = said.className;
      line.replaceChildren(...(said.bold ? [el("b", null, said.bold), ` ${said.text}`] : [said.text]));
      const action = said.action;
      const old = place.querySelector("button");
      if (old?.dataset["action"] === action) return;
      place.replaceChildren();
      if (action !== null)
        place.append(el("button", { type: "button", "data-action": action, click: () => act(action) }, ACTIONS[action]));
    },
  };
  app.draw(view);
  return view;
};
