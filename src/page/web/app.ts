// SPDX-License-Identifier: MIT
// What a view (views/*.ts) is given, and what it gives. A view owns one element of the page; it hears every message of
// the feed as it comes, keeps what it needs, and draws in `frame`, which is called at most once a frame, and only after
// it has asked (app.draw). Nothing else may touch its element.
import type { FeedState } from "./feed";
import type { Answer, Command, Overview, Row, ServerMessage, Talk, Welcome } from "./types";

export interface View {
  message?(message: ServerMessage): void;
  // Another row is looked at (null: none). What came of the one before is to be forgotten.
  opened?(row: Row | null): void;
  // The connection to sonde is there, or is gone and being looked for again.
  connected?(is: boolean): void;
  // The same, with what is the matter.
  feed?(state: FeedState): void;
  paused?(is: boolean): void;
  frame?(now: number): void;
  resized?(width: number): void;
}

export interface App {
  readonly welcome: Welcome | null;   // null: not connected yet
  readonly overview: Overview | null;
  readonly row: Row | null;           // the one that is looked at, as it was last
  readonly isPaused: boolean;
  readonly talk: Talk | null;         // of a sonde that is about one connection
  can(right: "see" | "send" | "kick" | "run" | "connect"): boolean;
  // Resolves with the answer that has its number; with ok: false, too. Rejects when the connection is lost.
  ask(command: Command): Promise<Answer>;
  open(row: number | null): void;
  connectAgain(): Promise<void>;                   // and look at the row that comes of it
  select(segment: number | null): void;            // a segment of the ladder, for the layers
  onSelect(hear: (segment: number | null) => void): void;
  draw(view: View): void;                          // ask for a frame
  say(text: string): void;                         // to who listens (aria-live), and as a short line on the page
}

export type Create = (root: HTMLElement, app: App) => View;
