// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { dump, toBase64, toHex } from "../bytes";
import type { Message, Messages } from "../types";
import { dumpByte, dumpPlaces } from "../views/messages_entry";
import { Kept, findAll, matches, needleOf } from "../views/messages_kept";
import { asBytes, asLog } from "../views/messages_save";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
let n = 0;
const message = (way: "in" | "out", data: Uint8Array, more: Partial<Message> = {}): Message =>
  ({ n: ++n, way, t_ns: n * 1e6, bytes: data.length, data: toBase64(data), text: false, message: false, cut: false, ...more });
const news = (messages: Message[], more: Partial<Messages> = {}): Messages => ({ kind: "messages", id: 1, messages, lost: 0, lost_bytes: 0, ...more });

test("what is kept is bounded, by number and by bytes, and what went is counted", () => {
  const few = new Kept({ messages: 3, bytes: 1000 });
  for (let i = 0; i < 5; i++) few.add(news([message("in", utf8(String(i)))]));
  assert.deepEqual([few.entries.length, few.forgotten], [3, 2]);
  assert.deepEqual(few.entries.map((e) => (e.kind === "message" ? e.bytes[0] : 0)), [50, 51, 52]);
  const small = new Kept({ messages: 100, bytes: 10 });
  for (let i = 0; i < 5; i++) small.add(news([message("in", new Uint8Array(4))]));
  assert.deepEqual([small.entries.length, small.forgotten], [2, 3]);
  // What alone is too large is not kept either, and nothing hangs.
  small.add(news([message("in", new Uint8Array(11))]));
  assert.deepEqual([small.entries.length, small.forgotten], [0, 6]);
});

test("what sonde lost is said where it is missing", () => {
  const kept = new Kept();
  kept.add(news([message("in", utf8("a"))]));
  kept.add(news([message("in", utf8("b"))], { lost: 3, lost_bytes: 4096 }));
  assert.deepEqual(kept.entries.map((e) => e.kind), ["message", "note", "message"]);
  const note = kept.entries[1];
  assert.ok(note?.kind === "note" && /3 messages.*4,096 bytes/.test(note.text));
});

test("search", () => {
  const kept = new Kept();
  kept.add(news([message("in", utf8("Hello, WORLD")), message("out", Uint8Array.of(0, 0xff, 0x10))]));
  const [hello, binary] = kept.entries;
  assert.ok(hello && binary);
  const needle = (text: string, isHex: boolean) => {
    const found = needleOf(text, isHex);
    assert.ok(found && !("error" in found));
    return found;
  };
  assert.ok(matches(hello, needle("world", false)) && !matches(binary, needle("world", false)));
  assert.ok(matches(binary, needle("ff10", true)) && !matches(hello, needle("ff 10", true)));
  assert.deepEqual(findAll(utf8("abABab"), needle("ab", false), 9), [0, 2, 4]);
  assert.deepEqual(findAll(utf8("aaaa"), needle("a", false), 2), [0, 1]);
  assert.equal(needleOf("  ", false), null);
  assert.ok("error" in (needleOf("0g", true) ?? {}));
  // Hex is exact: 41 is not 61.
  assert.ok(!matches(hello, needle("68 65", true)));
});

test("a place in a dump is a byte, and a byte has its two places", () => {
  for (const width of [8, 16]) {
    const bytes = Uint8Array.from({ length: 37 }, (_, i) => 0x40 + i);
    const text = dump(bytes, width).map((l) => `${l.at.toString(16).padStart(4, "0")}  ${toHex(l.bytes).padEnd(width * 3 - 1)}  ${l.ascii}`).join("\n");
    bytes.forEach((byte, i) => {
      const [digits, character] = dumpPlaces(i, width);
      assert.equal(text.slice(digits, digits + 2), byte.toString(16));
      assert.equal(text.slice(character, character + 1), String.fromCharCode(byte));
      for (const place of [digits, digits + 1, character]) assert.equal(dumpByte(place, width, bytes.length), i);
    });
    assert.equal(dumpByte(0, width, bytes.length), 0);
    assert.equal(dumpByte(text.length, width, bytes.length), bytes.length - 1);
  }
});

test("what is saved says what is missing", () => {
  const kept = new Kept();
  kept.add(news([message("in", utf8("ab"), { t_ns: 2e9 }), message("out", utf8("c"), { t_ns: 2.5e9, bytes: 9000 }), message("in", utf8("d"), { t_ns: 3e9 })]));
  assert.equal(asLog(kept.entries, 2e9),
    "# 0.0000 s <- 2 bytes\n61 62\n# 0.5000 s -> 9,000 bytes, the last 8999 not kept\n63\n# 1.0000 s <- 1 byte\n64\n");
  assert.deepEqual(asBytes(kept.entries, "in"), { bytes: utf8("abd"), missing: 0 });
  assert.equal(asBytes(kept.entries, "out").missing, 8999);
});
