// SPDX-License-Identifier: MIT
// What all views share: the feed, the row that is looked at, and one frame for all that want to be drawn.
import type { App, View } from "./app";
import { Feed, browserSurroundings, takeToken, type FeedState } from "./feed";
import { Frames } from "./frames";
import { plain } from "./text";
import type { Answer, Command, Overview, Row, ServerMessage, Talk, Welcome } from "./types";

const ROW_HASH = /^#row-(\d{1,15})$/;

// What is said of a row that is not the one looked at any more came too late: nobody wants it.
function rowOf(message: ServerMessage): number | null {
  switch (message.kind) {
    case "row": case "opened": return message.row.id;
    case "events": case "messages": case "points": case "layers": return message.id;
    default: return null;
  }
}

export class PageState implements App {
  welcome: Welcome | null = null;
  overview: Overview | null = null;
  row: Row | null = null;
  isPaused = false;
  talk: Talk | null = null;
  #feed: Feed;
  #views: View[] = [];
  #frames = new Frames({ now: () => performance.now(), request: (act) => { requestAnimationFrame(act); } },
    (act) => { this.#guard(act); });
  #hearSelect: ((segment: number | null) => void)[] = [];
  #wanted: number | null = null;                       // the row that is to be looked at
  #mayOpenOnly = true;                                 // nobody has chosen yet what to look at
  #openAfter: number | null = null;                    // connecting again: a row after this one is to be looked at
  #lasting = new Map<"filter" | "rows", Command>();   // asked for again after a loss
  #isConnected = false;
  #sayLine: (text: string) => void;

  constructor(sayLine: (text: string) => void) {
    this.#sayLine = sayLine;
    this.#feed = new Feed(
      { message: (message) => this.#hear(message), state: (state) => this.#feedIs(state) },
      browserSurroundings(location));
  }

  begin(views: View[]): void {
    this.#views = views;
    addEventListener("hashchange", () => this.#hashChanged());
    addEventListener("popstate", () => this.#hashChanged());
    // A laptop that wakes, a tab that is looked at again: no reason to wait for the next attempt.
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#feed.retry(); });
    addEventListener("online", () => this.#feed.retry());
    this.#wanted = this.#hashRow();
    this.#mayOpenOnly = this.#wanted === null;
    this.#feed.start(takeToken(location, sessionStorage, history));
  }

  can(right: "see" | "send" | "kick" | "run" | "connect"): boolean {
    return this.welcome?.rights.includes(right) ?? false;
  }

  async ask(command: Command): Promise<Answer> {
    if (command.do === "rows") this.#lasting.set("rows", command);
    const answer = await this.#feed.ask(command);
    // A filter that was not understood changed nothing.
    if (command.do === "filter" && answer.kind === "result" && answer.ok) this.#lasting.set("filter", command);
    return answer;
  }

  open(row: number | null): void {
    const hash = row === null ? "" : `#row-${row}`;
    if (location.hash !== hash) history.pushState(null, "", location.pathname + hash);
    this.#show(row);
  }

  async connectAgain(): Promise<void> {
    const ids = (this.overview?.rows ?? []).map(({ id }) => id);
    this.#openAfter = Math.max(0, ...ids);
    const answer = await this.#feed.ask({ do: "connect" }).catch((error: Error) => error);
    if (!(answer instanceof Error) && (answer.kind !== "result" || answer.ok)) return;
    this.#openAfter = null;
    this.say(answer instanceof Error ? answer.message : plain(answer.error ?? "That did not work."));
  }

  select(segment: number | null): void {
    for (const hear of this.#hearSelect) hear(segment);
  }

  onSelect(hear: (segment: number | null) => void): void {
    this.#hearSelect.push(hear);
  }

  draw(view: View): void {
    this.#frames.draw(view);
  }

  say(text: string): void {
    this.#sayLine(text);
  }

  async togglePause(): Promise<void> {
    if (!this.#isConnected) return;
    this.isPaused = !this.isPaused;
    this.#each((view) => view.paused?.(this.isPaused));
    await this.#feed.ask({ do: this.isPaused ? "pause" : "resume" }).catch(() => undefined);
  }

  retry(): void {
    this.#feed.retry();
  }

  // One view's mistake is not to stop the others.
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      console.error(error);
    }
  }

  #each(act: (view: View) => void): void {
    for (const view of this.#views) this.#guard(() => act(view));
  }

  #hear(message: ServerMessage): void {
    const id = rowOf(message);
    if (id !== null && id !== this.#wanted) return;
    if (message.kind === "welcome") this.#welcomed(message);
    if (message.kind === "overview") {
      this.overview = message;
      if (message.talk !== undefined) this.#talkIs(message.talk);
      this.#openOnly(message);
      this.#openNew(message);
    }
    if (message.kind === "row") this.row = message.row;
    if (message.kind === "opened") {
      this.row = message.row;
      this.#each((view) => view.opened?.(message.row));
    }
    this.#each((view) => view.message?.(message));
  }

  // Who connects, or reads a file with one connection in it, has come for that one.
  #openOnly(overview: Overview): void {
    const [only] = overview.rows;
    if (!this.#mayOpenOnly || !only || !["connect", "trace"].includes(this.welcome?.verb ?? "")) return;
    this.#mayOpenOnly = false;
    if (overview.rows.length > 1) return;
    history.replaceState(null, "", `${location.pathname}#row-${only.id}`);
    this.#show(only.id);
  }

  #talkIs(talk: Talk | null): void {
    this.talk = talk;
    if (this.#openAfter !== null && talk?.state === "over" && talk.why !== null) this.say(plain(talk.why));
  }

  #openNew(overview: Overview): void {
    const after = this.#openAfter;
    const found = after === null ? undefined : overview.rows.find(({ id }) => id > after);
    // One that has ended at once has a row nevertheless; one that could not be made has none.
    if (found || overview.talk?.state === "over") this.#openAfter = null;
    if (found) this.open(found.id);
  }

  #welcomed(welcome: Welcome): void {
    this.welcome = welcome;
    this.#talkIs(welcome.talk ?? null);
    for (const command of this.#lasting.values()) this.#feed.ask(command).catch(() => undefined);
    if (this.isPaused) this.#feed.ask({ do: "pause" }).catch(() => undefined);
    if (this.#wanted !== null) void this.#askOpen(this.#wanted);
  }

  #feedIs(state: FeedState): void {
    const isConnected = state.is === "open";
    if (isConnected !== this.#isConnected) {
      this.#isConnected = isConnected;
      this.#each((view) => view.connected?.(isConnected));
    }
    this.#each((view) => view.feed?.(state));
  }

  #hashRow(): number | null {
    const found = ROW_HASH.exec(location.hash);
    return found ? Number(found[1]) : null;
  }

  // A link to a row, the browser's back button, or another token pasted behind the same address.
  #hashChanged(): void {
    const given = location.hash;
    const token = takeToken(location, sessionStorage, history);
    if (location.hash !== given) {
      // Another sonde, perhaps: its rows have other numbers.
      this.overview = null;
      this.#show(null);
      this.#mayOpenOnly = true;
      this.#feed.start(token);
    }
    else if (this.#hashRow() !== null || given === "") this.#show(this.#hashRow());
  }

  #show(row: number | null): void {
    if (row === this.#wanted) return;
    this.#wanted = row;
    this.#mayOpenOnly = false;
    this.#openAfter = null;   // who has chosen another meanwhile stays there
    if (row === null) {
      this.#forget();
      this.#feed.ask({ do: "close" }).catch(() => undefined);
    } else {
      void this.#askOpen(row);
    }
  }

  #forget(): void {
    this.row = null;
    this.select(null);
    this.#each((view) => view.opened?.(null));
  }

  async #askOpen(row: number): Promise<void> {
    const answer = await this.#feed.ask({ do: "open", id: row }).catch(() => null);
    if (answer?.kind !== "result" || this.#wanted !== row) return;
    this.say(answer.error ?? "This connection is no longer kept.");
    this.#wanted = null;
    history.replaceState(null, "", location.pathname);
    this.#forget();
  }
}
