// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { Saved, asSaved, examples, read, recall, remember } from "../views/saved";
import type { SavedMessage, Storage_ } from "../views/saved";
import { isMistake } from "../bytes";
import { parse, withChecksum } from "../views/send_parse";
import { parseSteps } from "../views/send_steps";

class Shelf implements Storage_ {
  items = new Map<string, string>();
  isFull = false;
  getItem(name: string): string | null { return this.items.get(name) ?? null; }
  setItem(name: string, value: string): void {
    if (this.isFull) throw new Error("QuotaExceededError");
    this.items.set(name, value);
  }
}
const message = (name: string, more: Partial<SavedMessage> = {}): SavedMessage =>
  ({ name, mode: "text", content: "x", end: "", sum: "none", order: "big", every_ms: 0, count: 0, ...more });

test("a first visit has examples, all of which can be sent", () => {
  const saved = new Saved(new Shelf());
  assert.deepEqual(saved.messages, examples);
  assert.ok(examples.length >= 3);
  for (const one of examples) {
    assert.deepEqual(asSaved(one), one);
    if (one.mode === "steps") assert.ok(!isMistake(parseSteps(one.content, (name) => saved.find(name) !== undefined)));
    else {
      const draft = { ...one, mode: one.mode };
      const bits = parse(draft);
      assert.ok(!isMistake(bits) && !isMistake(withChecksum(bits.value, draft)));
    }
  }
});

test("what is saved is there the next time", () => {
  const shelf = new Shelf();
  const saved = new Saved(shelf);
  assert.equal(saved.put(message("one", { mode: "hex", content: "0a", end: "\r\n", sum: "crc32", order: "little", every_ms: 50, count: 3 })), true);
  assert.deepEqual(new Saved(shelf).find("one"), saved.find("one"));
  assert.equal(saved.put(message("one", { content: "other" })), true);
  assert.equal(new Saved(shelf).messages.filter(({ name }) => name === "one").length, 1);
  assert.equal(new Saved(shelf).find("one")?.content, "other");
});

test("a full browser is told of, and nothing is lost before the page goes", () => {
  const shelf = new Shelf();
  const saved = new Saved(shelf);
  shelf.isFull = true;
  assert.equal(saved.put(message("one")), false);
  assert.ok(saved.find("one"));
  assert.equal(new Saved(null).put(message("x")), false);
  assert.equal(remember("x", "y", shelf), false);
  assert.equal(recall("x", null), null);
});

test("what can't be read is put aside, not written over", () => {
  for (const text of ["{", "null", "42", '{"messages":7}']) {
    const shelf = new Shelf();
    shelf.items.set("sonde.saved", text);
    const saved = new Saved(shelf);
    assert.match(saved.trouble ?? "", /can't be read.*put aside/);
    assert.equal(shelf.items.get("sonde.saved.unreadable"), text);
    saved.put(message("new"));
    assert.equal(shelf.items.get("sonde.saved.unreadable"), text);
  }
});

test("some that can't be read do not take the others with them", () => {
  const shelf = new Shelf();
  shelf.items.set("sonde.saved", JSON.stringify({ messages: [message("good"), { name: 5 }, null, { name: "no content" }] }));
  const saved = new Saved(shelf);
  assert.deepEqual(saved.messages.map(({ name }) => name), ["good"]);
  assert.match(saved.trouble ?? "", /^3 of/);
  assert.ok(shelf.items.has("sonde.saved.unreadable"));
});

test("nothing in a file gets past what a message may be", () => {
  assert.deepEqual(asSaved({ name: " a ", content: "c", mode: "file", end: "\r", sum: "md5", order: 1, every_ms: -1, count: 1.5, more: "x" }),
    message("a", { content: "c" }));
  assert.equal(asSaved({ name: "a".repeat(500), content: "" })?.name.length, 80);
  for (const wrong of [null, 1, "x", [], { name: "", content: "x" }, { name: "x", content: 1 }, { name: "x", content: "y".repeat((1 << 20) + 1) }])
    assert.equal(asSaved(wrong), null);
  assert.equal(read("[]")?.messages.length, 0);
  assert.equal(read("no"), null);
});

test("delete, and take it back where it was", () => {
  const shelf = new Shelf();
  const saved = new Saved(shelf);
  const names = saved.messages.map(({ name }) => name);
  const gone = saved.remove(names[1] ?? "");
  assert.ok(gone);
  assert.equal(new Saved(shelf).find(names[1] ?? ""), undefined);
  assert.equal(saved.restore(gone), true);
  assert.deepEqual(new Saved(shelf).messages.map(({ name }) => name), names);
  assert.equal(saved.remove("nobody"), null);
});

test("all deleted stays deleted: the examples do not come back", () => {
  const shelf = new Shelf();
  const saved = new Saved(shelf);
  for (const { name } of [...saved.messages]) saved.remove(name);
  assert.deepEqual(new Saved(shelf).messages, []);
});

test("export and import", () => {
  const one = new Saved(new Shelf()), other = new Saved(new Shelf());
  one.put(message("mine"));
  one.put(message("HTTP request", { content: "changed" }));
  const found = read(one.asFile());
  assert.ok(found && found.passedOver === 0);
  assert.deepEqual(other.merge(found.messages), { added: 2, isKept: true });
  assert.equal(other.find("HTTP request")?.content, examples[2]?.content);
  assert.equal(other.find("HTTP request (2)")?.content, "changed");
  // The same again adds what was renamed only, never what is there under its name.
  assert.equal(other.merge(found.messages.filter(({ name }) => name === "mine")).added, 0);
});
