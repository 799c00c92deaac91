// SPDX-License-Identifier: MIT
// One row per view: the element that it owns, and what makes it.
import "./page.css";
import type { Create, View } from "./app";
import { setText } from "./dom";
import { listenForKeys } from "./keys";
import { PageState } from "./page_state";
import { create as attention } from "./views/attention";
import { create as client } from "./views/client";
import { create as conns } from "./views/connections";
import { create as header } from "./views/header";
import { create as lab } from "./views/lab";
import { create as ladder } from "./views/ladder";
import { create as layers } from "./views/layers";
import { create as listeners } from "./views/listeners";
import { create as messages } from "./views/messages";
import { create as notice } from "./views/notice";
import { create as opened } from "./views/opened";
import { create as plots } from "./views/plots";

const views: [string, Create][] = [
  ["header", header],
  ["notice", notice],
  ["attention", attention],
  ["listeners", listeners],
  ["conns", conns],
  ["opened", opened],
  ["ladder", ladder],
  ["plots", plots],
  ["layers", layers],
  ["messages", messages],
  ["client", client],
  ["lab", lab],
];

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

// A short line at the edge of the window, read out by those who read out.
const SAID_MS = 6000;
function sayer(line: HTMLElement): (text: string) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (text) => {
    setText(line, text);
    line.classList.add("shown");
    clearTimeout(timer);
    timer = setTimeout(() => {
      line.classList.remove("shown");
      setText(line, "");
    }, SAID_MS);
  };
}

// `sonde lab --page` is about the lab: there it stands first. `sonde watch` knows no bytes, and has more listeners than
// others: the style sheet gives them the room.
const arranged: View = {
  message(message) {
    if (message.kind !== "welcome") return;
    document.body.dataset["verb"] = message.verb;
    document.body.classList.toggle("only-looks", !message.rights.includes("send"));
    if (message.verb === "lab") element("conns").before(element("lab"));
  },
};

// In one column the order of what is read, and reached with Tab, is the order of the page: the client comes after what
// it talks to.
const isOneColumn = matchMedia("(max-width: 720px)");
function placeClient(): void {
  document.querySelector(isOneColumn.matches ? ".talk" : ".side")?.append(element("client"));
}
isOneColumn.addEventListener("change", placeClient);
placeClient();

const app = new PageState(sayer(element("said")));
const made = views.map(([id, create]) => create(element(id), app));
addEventListener("resize", () => { for (const view of made) view.resized?.(innerWidth); });
listenForKeys(app);
app.begin([...made, arranged]);
