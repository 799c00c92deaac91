// SPDX-License-Identifier: MIT
// The events of the opened connection that the browser keeps, and which part of them is drawn. What the feed says was
// left out becomes an event of its own, at its place.
import type { Events } from "../types";
import { count } from "../dom";
import { ladderEvent, type ConnectionEvent, type LadderEvent, type SentenceEvent } from "./ladder_events";
import { fold } from "./ladder_fold";
import { tell, type Mark, type Story } from "./ladder_marks";

export const KEPT_MOST = 2400; // sonde itself keeps no more of one connection
export const DRAWN = 400;
const STEP = 100; // what is drawn moves on in steps: between them nothing that is there has to move
const SENTENCES_MOST = 64;

export function leftOutWords(lost: number, leftOut: number, oneIn: number): string[] {
  const words: string[] = [];
  const events = (n: number): string => `${count(n)} event${n === 1 ? "" : "s"}`;
  if (lost > 0) words.push(`${events(lost)} ${lost === 1 ? "is" : "are"} no longer kept`);
  if (leftOut > 0) words.push(`${events(leftOut)} left out${oneIn > 1 ? `: 1 in ${count(oneIn)} is drawn` : ""}`);
  return words;
}

export class Kept {
  private events: LadderEvent[] = [];
  private base = 0;                              // how many came before these and went
  private intro: ConnectionEvent | null = null;  // what is known of the connection, when its event went
  private said: SentenceEvent[] = [];            // sentences of events that went
  private origin: number | undefined;
  private told: { story: Story; marks: Mark[] } | null = null;
  private folds = true;
  changed = false;

  clear(): void {
    this.events = [];
    this.base = 0;
    this.intro = null;
    this.said = [];
    this.origin = undefined;
    this.told = null;
    this.changed = true;
  }

  get size(): number { return this.events.length; }
  get forgotten(): number { return this.base; }

  take(news: Events): void {
    if (news.first) this.clear();
    const sound = news.events.map(ladderEvent).filter((event): event is LadderEvent => event !== null);
    const t = sound[0]?.t_ns ?? this.events[this.events.length - 1]?.t_ns ?? 0;
    for (const words of leftOutWords(news.lost, news.left_out, news.one_in)) this.events.push({ event: "gap", t_ns: t, words });
    this.events.push(...sound);
    this.origin ??= sound[0]?.t_ns;
    if (this.events.length > KEPT_MOST + STEP) this.forget(this.events.length - KEPT_MOST);
    this.told = null;
    this.changed = true;
  }

  // The oldest go. What they said of the connection, and in which states they left it, stays.
  private forget(n: number): void {
    const going = tell(this.all().slice(0, n + (this.intro ? 1 : 0)), this.base, this.origin);
    const { end, protocol, where, hasSegments, introduced } = going.connection;
    const about = (which: "a" | "b"): ConnectionEvent["a"] => {
      const { address, role, state, calls, captured, pid, program } = end[which];
      return { address, role, state, calls_seen: calls, captured_here: captured, pid, program };
    };
    if (introduced)
      this.intro = { event: "connection", t_ns: this.events[n]?.t_ns ?? 0, protocol, where, has_segments: hasSegments,
        a: about("a"), b: about("b") };
    this.said = [...this.said, ...going.sentences].slice(-SENTENCES_MOST);
    this.events.splice(0, n);
    this.base += n;
  }

  private all(): LadderEvent[] { return this.intro ? [this.intro, ...this.events] : this.events; }

  // All of it, folded or not. Told again only when something has come.
  story(folds: boolean): { story: Story; marks: Mark[] } {
    if (this.told && this.folds === folds) return this.told;
    const story = tell(this.all(), this.base - (this.intro ? 1 : 0), this.origin);
    story.sentences = [...this.said, ...story.sentences].slice(-SENTENCES_MOST);
    this.told = { story, marks: folds ? fold(story.marks) : story.marks };
    this.folds = folds;
    return this.told;
  }
}

export interface Part { from: number; to: number }

// Which marks are drawn. until: the place (Mark.at) before which it ends; null: the newest.
export function partOf(marks: Mark[], until: number | null): Part {
  let to = marks.length;
  if (until !== null) {
    to = marks.findIndex((mark) => mark.at >= until);
    if (to <= 0) to = Math.min(DRAWN, marks.length);
  }
  let from = Math.max(0, to - DRAWN);
  // From an event's own number on, so that what is drawn stays where it is until the next step.
  if (until === null && from > 0) {
    const step = (Math.floor((marks[from]?.at ?? 0) / STEP)) * STEP;
    while (from > 0 && from > to - DRAWN - STEP && (marks[from - 1]?.at ?? 0) >= step) from--;
  }
  return { from, to };
}
