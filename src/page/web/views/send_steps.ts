// SPDX-License-Identifier: MIT
// Several saved messages, one after the other. Each line is the name of a saved message, `wait MS`, or `answer MS`: go
// on as soon as the peer has sent something, after MS milliseconds at the latest.
import type { Parsed } from "../bytes";

export type Step = { send: string } | { wait: number } | { answer: number };

const STEPS_MAX = 200;
const PAUSE_MAX_MS = 3_600_000;

export function parseSteps(content: string, isSaved: (name: string) => boolean): Parsed<Step[]> {
  const steps: Step[] = [];
  let at = 0;
  for (const line of content.split("\n")) {
    const text = line.trim();
    const pause = /^(wait|answer)\s+(\d{1,9})(?:\s*ms)?$/.exec(text);
    // A message may be named like a pause: what is saved comes first.
    if (text && isSaved(text)) steps.push({ send: text });
    else if (pause && Number(pause[2]) > PAUSE_MAX_MS) return { error: "a pause has at most an hour, 3600000", at };
    else if (pause) steps.push(pause[1] === "wait" ? { wait: Number(pause[2]) } : { answer: Number(pause[2]) });
    else if (text) return { error: `nothing is saved as "${text}"; a line is a saved message's name, wait MS or answer MS`, at };
    if (steps.length > STEPS_MAX) return { error: `at most ${STEPS_MAX} steps`, at };
    at += line.length + 1;
  }
  return { value: steps };
}

export interface Walk {
  send(name: string): Promise<boolean>;               // false: it failed, and was said
  sleep(ms: number): Promise<void>;
  heard(ms: number): Promise<boolean>;                // false: nothing came in time
  isOver(): boolean;
  at(step: number): void;
}

// Gives a sentence about how it went.
export async function walk(steps: Step[], by: Walk): Promise<string> {
  for (const [i, step] of steps.entries()) {
    if (by.isOver()) return `Stopped before step ${i + 1} of ${steps.length}.`;
    by.at(i + 1);
    if ("send" in step) {
      if (!(await by.send(step.send))) return `Stopped at step ${i + 1} of ${steps.length}.`;
    } else if ("wait" in step) await by.sleep(step.wait);
    else if (!(await by.heard(step.answer)) && !by.isOver()) return `Step ${i + 1} of ${steps.length}: no answer came within ${step.answer} ms.`;
  }
  return `All ${steps.length} steps are done.`;
}
