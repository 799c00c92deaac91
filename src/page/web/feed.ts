// SPDX-License-Identifier: MIT
// The WebSocket to sonde, and the token that opens it.
//
// The token comes with the URL that sonde prints, behind '#', which browsers keep to themselves. It is moved into
// sessionStorage (of this tab and this origin, port included) and taken out of the address bar. Commands get a number,
// `re`, and their answers are found by it. When the connection is lost it is sought again, first after half a second,
// at last every ten; who asked something meanwhile hears that it was lost. A sonde that was started anew has another
// token: then there is nothing to seek.
import type { Answer, Command, ServerMessage } from "./types";

export type FeedState =
  | { is: "no-token" }
  | { is: "connecting" }                                   // the first time
  | { is: "open" }
  | { is: "lost"; retryMs: number; why: string | null }    // why: what sonde said at its end
  | { is: "refused" };                                     // another token

export interface FeedHandler {
  message(message: ServerMessage): void;
  state(state: FeedState): void;
}

// What is needed of the browser, so that tests can stand in for it.
export interface Surroundings {
  open(): WebSocket;
  wait(ms: number, then: () => void): () => void;
}

const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 10_000;
const CLOSE_TOKEN = 4401;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const STORED = "sonde-token";

// The token of the address bar if there is one, else the one that this tab was opened with.
export function takeToken(where: Location, store: Storage, past: History): string | null {
  const given = where.hash.slice(1);
  if (TOKEN.test(given)) {
    store.setItem(STORED, given);
    past.replaceState(null, "", where.pathname);
  }
  return store.getItem(STORED);
}

export function browserSurroundings(where: Location): Surroundings {
  const scheme = where.protocol === "https:" ? "wss:" : "ws:";
  return {
    open: () => new WebSocket(`${scheme}//${where.host}/feed`),
    wait: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
  };
}

interface Waiting { resolve(answer: Answer): void; reject(error: Error): void }

export class LostError extends Error {
  constructor() { super("The connection to sonde was lost before it answered."); }
}

export class Feed {
  #handler: FeedHandler;
  #around: Surroundings;
  #token: string | null = null;
  #socket: WebSocket | null = null;
  #isOpen = false;
  #next = 1;
  #waiting = new Map<number, Waiting>();
  #retryMs = RETRY_FIRST_MS;
  #why: string | null = null;
  #cancelRetry: (() => void) | null = null;

  constructor(handler: FeedHandler, around: Surroundings) {
    this.#handler = handler;
    this.#around = around;
  }

  // With another token than before: as at the beginning.
  start(token: string | null): void {
    this.#drop();
    this.#cancelRetry?.();
    this.#token = token;
    this.#retryMs = RETRY_FIRST_MS;
    this.#handler.state({ is: token === null ? "no-token" : "connecting" });
    if (token !== null) this.#connect(token);
  }

  // Now, rather than when the wait is over.
  retry(): void {
    if (this.#token !== null && !this.#socket) {
      this.#cancelRetry?.();
      this.#connect(this.#token);
    }
  }

  // Rejects with LostError when there is no connection, or no answer before its end.
  ask(command: Command): Promise<Answer> {
    if (!this.#isOpen || !this.#socket) return Promise.reject(new LostError());
    return this.#send(this.#socket, command);
  }

  #send(socket: WebSocket, command: Command): Promise<Answer> {
    const re = this.#next++;
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(re, { resolve, reject }));
    socket.send(JSON.stringify({ ...command, re }));
    return answer;
  }

  #connect(token: string): void {
    const socket = this.#around.open();
    this.#socket = socket;
    socket.onopen = () => {
      // What the token was worth is told by `welcome`, or by the close code.
      this.#send(socket, { do: "hello", token }).catch(() => undefined);
    };
    socket.onmessage = (event: MessageEvent) => {
      if (socket === this.#socket && typeof event.data === "string") this.#receive(event.data);
    };
    socket.onclose = (event: CloseEvent) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
  }

  #receive(text: string): void {
    let message: ServerMessage;
    try {
      message = JSON.parse(text) as ServerMessage;
    } catch {
      console.error("The feed sent what is not JSON:", text.slice(0, 200));
      return;
    }
    if (message.kind === "welcome") {
      this.#isOpen = true;
      this.#retryMs = RETRY_FIRST_MS;
      this.#why = null;
      this.#handler.state({ is: "open" });
    }
    if (message.kind === "bye") this.#why = message.why;
    // Views first: who waits for an answer goes on after all have heard it.
    this.#handler.message(message);
    this.#answer(message);
  }

  #answer(message: ServerMessage): void {
    if (!("re" in message)) return;
    const waiting = this.#waiting.get(message.re);
    this.#waiting.delete(message.re);
    waiting?.resolve(message);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    socket?.close();
    const lost = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of lost) reject(new LostError());
  }

  #closed(code: number): void {
    this.#drop();
    if (code === CLOSE_TOKEN) {
      this.#token = null;
      this.#handler.state({ is: "refused" });
      return;
    }
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(2 * retryMs, RETRY_LAST_MS);
    this.#handler.state({ is: "lost", retryMs, why: this.#why });
    this.#cancelRetry = this.#around.wait(retryMs, () => this.retry());
  }
}
