// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import type { View } from "../app";
import { Frames } from "../frames";

// A clock that stands unless a view takes its time, and frames that come when they are called.
function make(): { frames: Frames; drawn: string[]; view(name: string, takes_ms: number, act?: () => void): View; frame(): number } {
  const drawn: string[] = [];
  let now = 0, asked: ((now: number) => void)[] = [];
  const frames = new Frames({ now: () => now, request: (act) => { asked.push(act); } }, (act) => {
    try { act(); } catch { drawn.push("failed"); }
  });
  return {
    frames, drawn,
    view: (name, takes_ms, act) => ({ frame: () => { drawn.push(name); now += takes_ms; act?.(); } }),
    frame: () => {
      const acts = asked;
      asked = [];
      for (const act of acts) act(now);
      return acts.length;
    },
  };
}

test("all that is quick is drawn in one frame, each once", () => {
  const { frames, drawn, view, frame } = make(), one = view("one", 1), two = view("two", 1);
  for (const each of [one, two, one]) frames.draw(each);
  assert.equal(frame(), 1);
  assert.deepEqual(drawn, ["one", "two"]);
  assert.equal(frame(), 0);
});

test("what does not fit comes first in the next frame, and nobody is left out", () => {
  const { frames, drawn, view, frame } = make();
  const greedy = view("greedy", 20, () => { frames.draw(greedy); });
  for (const each of [greedy, view("second", 5), view("third", 5), view("fourth", 5)]) frames.draw(each);
  frame();
  assert.deepEqual(drawn, ["greedy"]);
  frame();
  assert.deepEqual(drawn, ["greedy", "second", "third"]);
  frame();
  assert.deepEqual(drawn.slice(3), ["fourth", "greedy"]);
});

test("a view that fails stops no other", () => {
  const { frames, drawn, view, frame } = make();
  frames.draw(view("bad", 0, () => { throw new Error("no"); }));
  frames.draw(view("good", 0));
  frame();
  assert.deepEqual(drawn, ["bad", "failed", "good"]);
});
