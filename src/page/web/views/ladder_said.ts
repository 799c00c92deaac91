// SPDX-License-Identifier: MIT
// Conclusions under the ladder, as in the terminal: "!" trouble with its why, "i" what could not be seen, "=" a summary,
// "-" notes on one segment.
import { el } from "../dom";
import type { SentenceEvent } from "./ladder_events";
import type { Story } from "./ladder_marks";
import { foreignText, textOf, type Piece } from "./ladder_text";

const SHOWN = 12;
const names: Record<string, string> = { "!": "trouble", i: "not seen", "=": "summary", "-": "note" };

const words = (sentence: SentenceEvent): Piece[] =>
  foreignText(sentence.mark === "-" && sentence.about_number ? `#${sentence.about_number}: ${sentence.sentence}` : sentence.sentence);

export class Sentences {
  readonly root = el("ul", { class: "lad-said", "aria-label": "conclusions" });
  private signature = "";
  without: string | null = null; // why no packets are seen

  constructor() { this.root.hidden = true; }

  noPackets(sentence: string | null): void { this.without = sentence; }

  following(_is: boolean): void { /* the button says it */ }

  // The newest of each; trouble first.
  private chosen(story: Story): SentenceEvent[] {
    const newest = new Map<string, SentenceEvent>();
    for (const sentence of story.sentences) {
      const key = `${sentence.mark}${sentence.name ?? ""}${sentence.about_number ?? ""}`;
      newest.delete(key);
      newest.set(key, sentence);
    }
    const rank = (mark: string): number => "!=i-".indexOf(mark);
    const { without } = this;
    const all = [...newest.values()].slice(-SHOWN).sort((one, other) => rank(one.mark) - rank(other.mark));
    if (without !== null && !all.some((sentence) => sentence.sentence === without))
      all.push({ event: "sentence", t_ns: 0, mark: "i", sentence: without });
    return all;
  }

  texts(story: Story): string[] { return this.chosen(story).map((sentence) => `${sentence.mark} ${textOf(words(sentence))}`); }

  show(story: Story): void {
    const sentences = this.chosen(story), signature = JSON.stringify(sentences);
    if (signature === this.signature) return;
    this.signature = signature;
    this.root.hidden = sentences.length === 0;
    this.root.replaceChildren(...sentences.map((sentence) => el("li", { class: sentence.mark === "!" ? "bad" : null },
      el("span", { class: "sign", "aria-hidden": "true" }, sentence.mark), el("span", { class: "vh" }, `${names[sentence.mark] ?? "note"}: `),
      el("span", null, ...words(sentence).map((piece) => el("span", { class: piece.cls ?? null }, piece.text))))));
  }
}
