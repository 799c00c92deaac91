// SPDX-License-Identifier: MIT
// The head of the connection that is looked at: its ends, its state, what is wrong with it, and what may be done to it.
import type { App, Create, View } from "../app";
import { count, el, setText } from "../dom";
import { makeAgain, whyNone } from "./again";
import { age, milliseconds, name, plain, setName, splitSentence } from "../text";
import type { Row, SondeEvent } from "../types";

const TROUBLES_MAX = 64;

interface Act { right: "send" | "kick"; ability: "half-close" | "kick"; label: string; hint: string; done: string }
const ACTS: Act[] = [
  { right: "send", ability: "half-close", label: "Half-close", done: "Half-closed: the peer is told that nothing more comes.",
    hint: "Sends FIN: we send nothing more, and still receive." },
  { right: "kick", ability: "kick", label: "Kick", done: "Kicked: the connection was reset.",
    hint: "Resets the connection (RST): both ends lose what is on its way." },
];

// Who called whom is known of the verbs that only answer, or only call.
function arrow(app: App): [string, boolean] {
  if (app.welcome?.verb === "serve") return ["→", true];
  if (["connect", "trace"].includes(app.welcome?.verb ?? "")) return ["→", false];
  return ["↔", true];
}

export function whyNot(app: Pick<App, "welcome" | "can">, row: Row): string | null {
  if (app.welcome?.read_only) return "Read-only: this page may look, and do nothing.";
  if (!app.can("send") && !app.can("kick")) return null;
  if (row.ended) return null;   // its verdict says so
  // One of its own that nothing can be done to is about to end.
  if (row.can.length === 0 && !["serve", "connect"].includes(app.welcome?.verb ?? "")) return "Not a connection of this sonde: it can only be looked at.";
  return null;
}

function factsOf(row: Row): [string, string][] {
  const facts: [string, string][] = [["", [row.protocol, row.layers].filter(Boolean).join(" ")]];
  if (row.note) facts.push(["service", row.note]);
  if (row.owner) facts.push(["held by", row.owner]);
  if (row.rtt_us !== null) facts.push(["RTT", `${milliseconds(row.rtt_us)} ms`]);
  if (row.in !== null) facts.push(["in", count(row.in)]);
  if (row.out !== null) facts.push(["out", count(row.out)]);
  if (row.recv_q !== null) facts.push(["Recv-Q", count(row.recv_q)]);
  if (row.send_q !== null) facts.push(["Send-Q", count(row.send_q)]);
  if (row.timer) facts.push(["timer", `${row.timer.name}${row.timer.n ? ` ${row.timer.n}` : ""} in ${age(row.timer.ms)}`]);
  if (row.age_ms !== null) facts.push(["age", age(row.age_ms)]);
  return facts;
}

// A device that was restarted comes back from another port: the newest connection of the same host to the same address.
// Who connects to it again has another port itself.
const HOST = /^(.*):\d+$/;
export function newerOf(row: Row, rows: Row[]): Row | null {
  const hostOf = (name: string): string | undefined => HOST.exec(name)?.[1];
  const host = hostOf(row.peer);
  if (!row.ended || host === undefined) return null;
  const isSame = (other: Row): boolean => (other.local === row.local && hostOf(other.peer) === host)
    || (other.peer === row.peer && hostOf(other.local) === hostOf(row.local));
  const newer = rows.filter((other) => !other.ended && other.id > row.id && other.class === "open" && isSame(other));
  return newer.reduce<Row | null>((best, other) => (best && best.id > other.id ? best : other), null);
}

// What the ladder's events said was the matter: of one that has ended nobody else says it.
export function troublesIn(events: SondeEvent[]): string[] {
  return events.filter(({ event, mark }) => event === "sentence" && mark === "!").map(({ sentence }) => String(sentence));
}

class Facts {
  readonly root = el("dl", { class: "opened-facts" });
  #key = "";
  #values: HTMLElement[] = [];

  set(facts: [string, string][]): void {
    const key = facts.map(([label]) => label).join();
    if (key !== this.#key) {
      this.#key = key;
      this.#values = facts.map(() => el("dd"));
      this.root.replaceChildren(...facts.map(([label], i) => el("div", null,
        el("dt", { class: label ? null : "vh" }, label || "protocol"), this.#values[i])));
    }
    facts.forEach(([, value], i) => { if (this.#values[i]) setName(this.#values[i], value); });
  }
}

export const create: Create = (root, app) => {
  const place = document.getElementById("connection") ?? root;
  const ends = el("span", { class: "ends" });
  const chip = el("span", { class: "chip" });
  const buttons = ACTS.map((act) => {
    const hint = el("span", { class: "vh", id: `hint-${act.ability}` }, act.hint);
    const button = el("button", { type: "button", class: act.ability === "kick" ? "danger" : null, title: act.hint,
      "aria-describedby": hint.id, click: () => void perform(act) }, act.label);
    return { act, button, hint };
  });
  const close = el("button", { type: "button", title: "show no connection", "aria-keyshortcuts": "Escape",
    click: () => app.open(null) }, "Close view ", el("kbd", null, "Esc"));
  const not = el("span", { class: "mute" });
  let newest: number | null = null;
  const newer = el("button", { type: "button", class: "primary", hidden: true,
    click: () => { if (newest !== null) app.open(newest); } });
  const drawNewer = (row: Row) => {
    const found = newerOf(row, app.overview?.rows ?? []);
    newest = found?.id ?? null;
    newer.hidden = found === null;
    if (found) setText(newer, `It is back: open ${plain(found.peer)}`);
  };
  const what = el("b"), rest = el("span");
  const verdict = el("p", { class: "opened-verdict" }, what, rest);
  const facts = new Facts();
  const again = makeAgain(app);
  root.append(
    el("div", { class: "bar opened-head" }, el("h2", { id: "h-o" }, ends, " ", chip),
      el("span", { class: "acts" }, not, newer, again.button, ...buttons.flatMap(({ button, hint }) => [button, hint]), close)),
    facts.root, verdict);

  const perform = async (act: Act) => {
    const row = app.row;
    if (!row) return;
    const answer = await app.ask({ do: act.ability, id: row.id }).catch((error: Error) => error);
    if (answer instanceof Error) app.say(answer.message);
    else if (answer.kind === "result") app.say(answer.ok ? act.done : plain(answer.error ?? "That did not work."));
  };
  let troubles: string[] = [];
  let isConnected = false;
  const drawVerdict = (row: Row) => {
    const last = row.ended ? troubles[troubles.length - 1] : undefined;
    const text = row.verdict ?? last ?? row.brief, isTrouble = row.trouble || (last !== undefined && text === last);
    const calm = row.ended ? "It has ended."
      : isConnected ? "Nothing is wrong with it." : "Nothing was wrong with it when sonde was last heard of.";
    const [first, others] = splitSentence(text ?? calm);
    const hasMore = isTrouble && text === last && troubles.length > 1;
    const more = hasMore ? ` (And ${count(troubles.length - 1)} more, under the ladder.)` : "";
    const none = row.can.length === 0 ? whyNone(app) : "";
    setName(what, isTrouble ? first : "");
    const said = isTrouble ? `${others}${more}` : `${first}${others}`;
    setName(rest, none === "" ? said : (text ?? null) === null ? none : `${said} ${none}`);
    verdict.className = isTrouble ? "opened-verdict why" : "opened-verdict calm";
  };

  let drawnEnds = "";
  const view: View = {
    message(message) {
      if (message.kind === "row" || message.kind === "welcome") app.draw(view);
      if (message.kind === "events") {
        if (message.first) troubles = [];
        const fresh = troublesIn(message.events).filter((sentence) => !troubles.includes(sentence));
        troubles = [...troubles, ...fresh].slice(-TROUBLES_MAX);
        if (fresh.length > 0) app.draw(view);
      }
      if (message.kind === "overview" && (app.row?.ended || message.talk !== undefined)) app.draw(view);
    },
    opened(row) {
      troubles = [];
      place.hidden = row === null;
      document.body.classList.toggle("has-open", row !== null);
      app.draw(view);
    },
    connected(is) {
      for (const { button } of buttons) button.disabled = !is;
      isConnected = is;
      again.connected(is);
      app.draw(view);
    },
    frame() {
      const row = app.row;
      if (!row) return;
      const [sign, isPeerFirst] = arrow(app);
      const pair = isPeerFirst ? [row.peer, row.local] : [row.local, row.peer];
      const key = pair.join(sign);
      if (key !== drawnEnds) {
        drawnEnds = key;
        ends.replaceChildren(name(pair[0] || "(no name)"), ` ${sign} `, name(pair[1] || "(no name)"));
      }
      setName(chip, row.state);
      chip.className = row.class === "none" ? "chip" : `chip ${row.class}`;
      for (const { act, button } of buttons) {
        const hadFocus = button === document.activeElement;
        button.hidden = !app.can(act.right) || !row.can.includes(act.ability);
        if (hadFocus && button.hidden) close.focus();   // it has done what it could
      }
      const reason = whyNot(app, row);
      not.hidden = reason === null;
      setText(not, reason ?? "");
      facts.set(factsOf(row));
      drawVerdict(row);
      drawNewer(row);
      again.draw(true, close);
    },
  };
  return view;
};
