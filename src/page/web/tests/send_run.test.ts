// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBase64, isMistake } from "../bytes";
import type { Answer, Command, Result } from "../types";
import { PIECE, sendFile } from "../views/send_file";
import { parseSteps, walk } from "../views/send_steps";
import type { Step } from "../views/send_steps";

const saved = (name: string): boolean => ["login", "wait 5", "a b"].includes(name);

test("steps are read", () => {
  assert.deepEqual(parseSteps("login\n\n wait 500 \nanswer 2000 ms\na b\nwait 5", saved),
    { value: [{ send: "login" }, { wait: 500 }, { answer: 2000 }, { send: "a b" }, { send: "wait 5" }] });
  assert.deepEqual(parseSteps("", saved), { value: [] });
});

test("wrong steps say where", () => {
  const at = (content: string): number | null => {
    const steps = parseSteps(content, saved);
    return isMistake(steps) ? steps.at : null;
  };
  assert.equal(at("login\nlogout"), 6);
  assert.equal(at("wait"), 0);
  assert.equal(at("wait 3600001"), 0);
  assert.equal(at("login\n".repeat(201)), 1200);
});

async function walked(steps: Step[], by: { fails?: string; answers?: boolean; overAt?: number } = {}): Promise<[string, string[]]> {
  const log: string[] = [];
  let at = 0;
  const said = await walk(steps, {
    send: (name) => { log.push(name); return Promise.resolve(name !== by.fails); },
    sleep: (ms) => { log.push(`wait ${ms}`); return Promise.resolve(); },
    heard: (ms) => { log.push(`answer ${ms}`); return Promise.resolve(by.answers ?? true); },
    isOver: () => at + 1 === by.overAt, at: (step) => { at = step; },
  });
  return [said, log];
}

test("steps are walked in order, and end where one fails", async () => {
  const steps: Step[] = [{ send: "a" }, { answer: 10 }, { wait: 5 }, { send: "b" }];
  assert.deepEqual(await walked(steps), ["All 4 steps are done.", ["a", "answer 10", "wait 5", "b"]]);
  assert.deepEqual(await walked(steps, { fails: "a" }), ["Stopped at step 1 of 4.", ["a"]]);
  assert.deepEqual(await walked(steps, { answers: false }), ["Step 2 of 4: no answer came within 10 ms.", ["a", "answer 10"]]);
  assert.deepEqual(await walked(steps, { overAt: 3 }), ["Stopped before step 3 of 4.", ["a", "answer 10"]]);
});

// A peer that answers as told, and keeps what it got.
async function sent(size: number, answers: Partial<Result>[], more: { isMessage?: boolean; overAfter?: number } = {}) {
  const file = new Blob([Uint8Array.from({ length: size }, (_, i) => i % 251)]);
  const got: number[] = [], pauses: number[] = [];
  let pieces = 0, progress = -1, waited = false;
  const ask = (command: Command): Promise<Answer> => {
    assert.ok(command.do === "send");
    const part = command.parts[0];
    const answer: Result = { kind: "result", re: 1, ok: true, queued: 0, ...answers[pieces++] };
    if (answer.ok && part && "data" in part) for (const byte of fromBase64(part.data)) got.push(byte);
    return Promise.resolve(answer);
  };
  const wrong = await sendFile({
    file, id: 1, isMessage: more.isMessage ?? false, ask, sleep: (ms) => { pauses.push(ms); return Promise.resolve(); },
    isOver: () => pieces === more.overAfter, progress: (bytes, waits) => { progress = bytes; waited ||= waits; },
  });
  const isSame = got.length === size && got.every((byte, i) => byte === i % 251);
  return { wrong, pieces, progress, pauses, isSame, n: got.length, waited };
}

test("a file goes in pieces, all of it, once", async () => {
  const all = await sent(PIECE * 2 + 1, []);
  assert.deepEqual([all.wrong, all.pieces, all.progress, all.isSame], [null, 3, PIECE * 2 + 1, true]);
  assert.equal((await sent(PIECE, [])).pieces, 1);
  assert.equal((await sent(0, [])).pieces, 0);
});

test("a message is one piece, be it empty", async () => {
  assert.equal((await sent(PIECE * 2, [], { isMessage: true })).pieces, 1);
  assert.equal((await sent(0, [], { isMessage: true })).pieces, 1);
});

test("a queue that is full is asked again, with patience, and no piece is lost or doubled", async () => {
  const busy = { ok: false, busy: true };
  const all = await sent(PIECE * 2, [{}, busy, busy, busy, {}]);
  assert.deepEqual([all.wrong, all.pieces, all.isSame, all.waited], [null, 5, true, true]);
  assert.deepEqual(all.pauses, [50, 100, 200]);
  assert.deepEqual((await sent(PIECE * 2, [{ queued: 1 << 20 }])).pauses, [100]);
});

test("a file stops at an error, and when it is cancelled", async () => {
  const failed = await sent(PIECE * 3, [{}, { ok: false, error: "It has ended." }]);
  assert.deepEqual([failed.wrong, failed.n], ["It has ended.", PIECE]);
  const cancelled = await sent(PIECE * 3, [], { overAfter: 1 });
  assert.deepEqual([cancelled.wrong, cancelled.n], ["Cancelled.", PIECE]);
});
