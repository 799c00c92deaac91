// SPDX-License-Identifier: MIT
// This browser as a client: one service for a program over TCP and for a browser over WebSocket, side by side. A browser
// can't open a raw TCP connection; where sonde serves no WebSocket this says so, and what to serve instead.
import "./client.css";
import type { App, Create, View } from "../app";
import { isMistake, parseHex, pieces, toHex } from "../bytes";
import { count, duration, el, setText } from "../dom";
import type { Row, ServerMessage } from "../types";
import { bytesOf } from "./messages_kept";

const LINES_MAX = 200;
const SHOWN_BYTES = 1024;
const WAITING_MAX = 64;
const CLOSE_CODES: [number, string][] = [[1000, "1000 normal"], [3000, "3000"], [4000, "4000 of your own"]];

type Waiting = { key: string; at: number };

class ClientView implements View {
  #app: App;
  #root: HTMLElement;
  #urls = "";
  #socket: WebSocket | null = null;
  #rowsBefore = new Set<number>();
  #row: number | null = null;
  #wasOpen = false;
  #waiting: Waiting[] = [];           // what was sent, to know its echo
  #times: number[] = [];              // round trips, in ms
  #why = el("div", { class: "whynot" });
  #box = el("div", { class: "clientbox" });
  #url = el("select", { "aria-label": "URL to connect to" });
  #connect = el("button", { type: "button" }, "Connect");
  #code = el("select", { "aria-label": "close code" }, ...CLOSE_CODES.map(([code, name]) => el("option", { value: code }, name)));
  #state = el("p", { class: "state", role: "status" }, "Not connected.");
  #link = el("button", { type: "button", class: "linkish", hidden: true });
  #log = el("ol", { class: "log short", tabindex: 0, "aria-label": "this browser’s messages, newest last" });
  #text = el("input", { "aria-label": "message from this browser", value: "hello", spellcheck: false, autocomplete: "off" });
  #isHex = el("input", { type: "checkbox" });
  #send = el("button", { type: "submit", disabled: true }, "Send");
  #rtt = el("output", { class: "mute" });

  constructor(root: HTMLElement, app: App) {
    this.#root = root;
    this.#app = app;
    const form = el("form", { class: "row" }, this.#text, el("label", null, this.#isHex, "hex"), this.#send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sends();
    });
    this.#connect.addEventListener("click", () => (this.#socket ? this.#close() : this.#open()));
    this.#link.addEventListener("click", () => { if (this.#row !== null) app.open(this.#row); });
    this.#box.append(el("div", { class: "row" }, this.#url, this.#connect, this.#code), el("div", { class: "row" }, this.#state, this.#link),
      this.#log, form, this.#rtt);
    const title = el("h2", { id: "h-client" }, "This browser as a client");
    root.removeAttribute("aria-label");
    root.setAttribute("aria-labelledby", title.id);
    root.append(title, this.#why, this.#box);
    this.#code.hidden = true;   // it is for closing
    this.#offer();
  }

  message(message: ServerMessage): void {
    if (message.kind === "welcome") this.#offer();
    if (message.kind === "overview" && this.#socket && this.#row === null) this.#findRow(message.rows);
  }

  // Which URLs there are; and where there is none, why.
  #offer(): void {
    const welcome = this.#app.welcome;
    const urls = welcome?.client_urls ?? [];
    // Only who serves has something that a browser could be a client of.
    this.#root.hidden = !welcome || (welcome.verb !== "serve" && urls.length === 0);
    this.#box.hidden = urls.length === 0;
    this.#why.hidden = urls.length > 0;
    if (!this.#why.childNodes.length)
      this.#why.append(el("p", null, "A browser opens no raw TCP or UDP, and no WebSocket is served here. any:// takes TCP and WebSocket on one port:"),
        el("pre", { class: "mono" }, "sonde serve echo any://127.0.0.1:7007 --page"));
    if (urls.join(" ") === this.#urls) return;
    this.#urls = urls.join(" ");
    this.#url.replaceChildren(...urls.map((url) => el("option", { value: url }, url)));
  }

  #open(): void {
    this.#rowsBefore = new Set(this.#app.overview?.rows.map(({ id }) => id));
    this.#row = null;
    this.#wasOpen = false;
    this.#link.hidden = true;
    this.#waiting = [];
    this.#times = [];
    const begin = performance.now();
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.#url.value);
    } catch {
      return setText(this.#state, `${this.#url.value} is no URL that this browser connects to.`);
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    setText(this.#state, "Connecting…");
    setText(this.#connect, "Close");
    this.#code.hidden = false;
    socket.addEventListener("open", () => {
      this.#send.disabled = false;
      this.#wasOpen = true;
      setText(this.#state, `Connected in ${duration((performance.now() - begin) * 1e6)}: TCP and the opening handshake.`);
    });
    socket.addEventListener("message", (event: MessageEvent<string | ArrayBuffer>) => this.#received(event.data));
    socket.addEventListener("close", (event) => this.#closed(socket, event));
  }

  #close(): void {
    this.#socket?.close(Number(this.#code.value), "from the page");
    setText(this.#state, "Closing…");
  }

  #closed(socket: WebSocket, event: CloseEvent): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#send.disabled = true;
    setText(this.#connect, "Connect");
    this.#code.hidden = true;
    const isUntrusted = event.code === 1006 && !this.#wasOpen && socket.url.startsWith("wss:");
    const how = isUntrusted ? `Refused, most likely because this browser does not trust the certificate: open ${socket.url.replace("wss:", "https:")} in another tab, and accept it there.`
      : event.code === 1006 ? "Ended without a Close (1006): refused, or cut off." : `Closed with ${event.code}${event.reason ? `, “${event.reason}”` : ""}.`;
    setText(this.#state, how);
    this.#add("sys", how, null);
  }

  #sends(): void {
    const socket = this.#socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    const data = this.#isHex.checked ? parseHex(this.#text.value) : { value: new TextEncoder().encode(this.#text.value) };
    this.#text.setCustomValidity(isMistake(data) ? data.error : "");
    if (isMistake(data)) return void this.#text.reportValidity();
    this.#waiting.push({ key: toHex(data.value), at: performance.now() });
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    socket.send(this.#isHex.checked ? data.value as Uint8Array<ArrayBuffer> : this.#text.value);
    this.#add("out", this.#isHex.checked ? "binary" : "text", data.value);
  }

  #received(data: string | ArrayBuffer): void {
    const now = performance.now();
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
    const key = toHex(bytes);
    const at = this.#waiting.findIndex((waiting) => waiting.key === key);
    const sent = this.#waiting[at];
    if (sent) {
      this.#waiting.splice(at, 1);
      this.#times.push(now - sent.at);
      const { length } = this.#times;
      const sorted = [...this.#times].sort((a, b) => a - b);
      const last = `Echo: ${duration((now - sent.at) * 1e6)}`;
      setText(this.#rtt, length === 1 ? last
        : `${last}; of ${count(length)}, least ${duration((sorted[0] ?? 0) * 1e6)}, middle ${duration((sorted[length >> 1] ?? 0) * 1e6)}`);
    }
    this.#add("in", `${typeof data === "string" ? "text" : "binary"}${sent ? `, echo after ${duration((now - sent.at) * 1e6)}` : ""}`, bytes);
  }

  #add(way: "in" | "out" | "sys", what: string, bytes: Uint8Array | null): void {
    const follows = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 24;
    if (!bytes) this.#log.append(el("li", { class: "note mute" }, what));
    else {
      const some = bytes.subarray(0, SHOWN_BYTES);
      const shown = what.startsWith("binary") ? [toHex(some)]
        : pieces(some).filter(({ n }) => n).map((piece) => (piece.escape ? el("i", null, piece.text) : piece.text));
      this.#log.append(el("li", { class: way }, el("p", null, el("b", null, el("span", { "aria-hidden": "true" }, way === "in" ? "← " : "→ "),
        el("span", { class: "vh" }, way === "in" ? "received " : "sent "), bytesOf(bytes.length)), " ", el("span", { class: "mute" }, what)),
      el("pre", null, ...shown, some.length < bytes.length ? ` … ${bytesOf(bytes.length - some.length)} more` : null)));
    }
    while (this.#log.children.length > LINES_MAX) this.#log.firstElementChild?.remove();
    if (follows) this.#log.scrollTop = this.#log.scrollHeight;
  }

  // A script is not told its own port. The newest WebSocket row that was not there before is taken to be it.
  #findRow(rows: Row[]): void {
    const port = /:(\d+)/.exec(this.#url.value.replace(/^wss?:\/\/(\[[^\]]*\])?/, ""))?.[1];
    const mine = rows.filter((row) => !this.#rowsBefore.has(row.id) && /\bws/.test(row.layers ?? "") && (!port || row.local.endsWith(`:${port}`)))
      .sort((a, b) => b.id - a.id)[0];
    if (!mine || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#row = mine.id;
    setText(this.#link, `Open ${mine.peer}`);
    this.#link.title = "the newest WebSocket connection: a script is not told its own port";
    this.#link.hidden = false;
  }
}

export const create: Create = (root, app) => new ClientView(root, app);
