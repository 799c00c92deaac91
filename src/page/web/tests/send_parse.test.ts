// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { isMistake, toHex } from "../bytes";
import { fill, isStatic, isText, macroName, parse, placeOf, toParts, toSource, withChecksum } from "../views/send_parse";
import type { Bit, Draft } from "../views/send_parse";

const draft = (content: string, more: Partial<Draft> = {}): Draft =>
  ({ mode: "text", content, end: "", sum: "none", order: "big", ...more });
const now = new Date("2026-11-21T10:04:11.302Z");

function bitsOf(content: string, more: Partial<Draft> = {}): Bit[] {
  const parsed = parse(draft(content, more));
  assert.ok(!isMistake(parsed), isMistake(parsed) ? parsed.error : "");
  return parsed.value;
}
const text = (content: string, more: Partial<Draft> = {}): string => new TextDecoder().decode(fill(bitsOf(content, more), 0, now));
const hex = (content: string, more: Partial<Draft> = {}): string => toHex(fill(bitsOf(content, more), 0, now));

function wrong(content: string, at: number, about: RegExp, more: Partial<Draft> = {}): void {
  const parsed = parse(draft(content, more));
  assert.ok(isMistake(parsed), `${content} should be wrong`);
  assert.equal(parsed.at, at, content);
  assert.match(parsed.error, about);
}

test("escapes", () => {
  assert.equal(hex("\\r\\n\\t\\0\\\\"), "0d 0a 09 00 5c");
  assert.equal(hex("a\\x1B\\xffz"), "61 1b ff 7a");
  assert.equal(hex("\\u{e9}\\u{1F600}é"), "c3 a9 f0 9f 98 80 c3 a9");
  assert.equal(hex("\\\\n"), "5c 6e");
});

test("wrong escapes say where", () => {
  wrong("ab\\q", 2, /no escape \\q/);
  wrong("ab\\", 2, /at the end/);
  wrong("\\x1", 0, /two hex digits/);
  wrong("\\xg0", 0, /two hex digits/);
  wrong("\\u00e9", 0, /braces/);
  wrong("\\u{}", 0, /braces/);
  wrong("\\u{110000}", 0, /no such character/);
  wrong("x\\u{d800}", 1, /no such character/);
});

test("macros", () => {
  assert.equal(text("PING {n} {n:40}"), "PING 1 40");
  assert.equal(text("{time}|{unix}|{ms}"), "2026-11-21T10:04:11.302000Z|1795255451|1795255451302");
  assert.equal(fill(bitsOf("{rand:4}"), 0, now).length, 4);
  assert.deepEqual(toParts(bitsOf("a{n}b{time}{unix}{ms}{rand:2}"), 0),
    [{ data: "YQ==" }, { counter: 1 }, { data: "Yg==" }, { time: "iso" }, { time: "unix" }, { time: "unix_ms" }, { random: 2 }]);
  assert.deepEqual(toParts(bitsOf("{n:0}"), 7), [{ counter: 7 }]);
  assert.equal(new TextDecoder().decode(fill(bitsOf("{n:0} {n}"), 7, now)), "7 8");
  assert.deepEqual(bitsOf("{n}{n:5}{rand:3}{time}{unix}{ms}").map((b) => macroName(b as never)),
    ["{n}", "{n:5}", "{rand:3}", "{time}", "{unix}", "{ms}"]);
});

test("braces", () => {
  assert.equal(text("{{n}"), "{n}");
  assert.equal(text("a{{{{b"), "a{{b");
  assert.equal(text('{"a":{"b":[1,{}]}}'), '{"a":{"b":[1,{}]}}');
  assert.equal(text("{ n } {N} {1} {"), "{ n } {N} {1} {");
  assert.equal(text("{{{n}"), "{1");
});

test("wrong macros say where", () => {
  wrong("x {foo} y", 2, /no macro \{foo\}/);
  wrong("{n:x}", 0, /whole number/);
  wrong("{n:}", 0, /whole number/);
  wrong("{n:-1}", 0, /whole number/);
  wrong("{rand}", 0, /from 1 to/);
  wrong("{rand:0}", 0, /from 1 to/);
  wrong("{rand:65537}", 0, /from 1 to/);
  wrong("{time:5}", 0, /takes nothing/);
  wrong("{constructor}", 0, /no macro/);
});

test("line ends", () => {
  assert.equal(hex("a", { end: "\r\n" }), "61 0d 0a");
  assert.equal(hex("a\nb", { end: "\r\n" }), "61 0d 0a 62 0d 0a");
  assert.equal(hex("a\nb", { end: "\n" }), "61 0a 62 0a");
  assert.equal(hex("a\r\nb"), "61 0a 62");
  assert.equal(hex("", { end: "\n" }), "0a");
  assert.deepEqual(bitsOf(""), []);
  // Hex is what it says, and nothing is added.
  assert.equal(hex("61\n62", { mode: "hex", end: "\r\n" }), "61 62");
});

test("hex, with macros", () => {
  assert.equal(hex("0x01,02\n ff", { mode: "hex" }), "01 02 ff");
  assert.equal(hex("aa {n} bb", { mode: "hex" }), "aa 31 bb");
  assert.equal(fill(bitsOf("aa{rand:4}bb", { mode: "hex" }), 0, now).length, 6);
  assert.equal(hex("{be, ef} {ad}", { mode: "hex" }), "be ef ad");
  wrong("aa {n} b!", 8, /not a hex digit/, { mode: "hex" });
  wrong("aa {what}", 3, /no macro/, { mode: "hex" });
});

test("checksums go last, over all before them", () => {
  const modbus = draft("01 03 00 00 00 0a", { mode: "hex", sum: "modbus", order: "little" });
  const whole = withChecksum(bitsOf(modbus.content, modbus), modbus);
  assert.ok(!isMistake(whole));
  assert.equal(toHex(fill(whole.value, 0, now)), "01 03 00 00 00 0a c5 cd");
  const withEnd = draft("123456789", { sum: "ccitt", end: "\n" });
  const both = withChecksum(bitsOf("123456789", withEnd), withEnd);
  assert.ok(!isMistake(both));
  assert.equal(toHex(fill(both.value, 0, now)).slice(0, 29), "31 32 33 34 35 36 37 38 39 0a");
});

test("a checksum over what changes is refused, and none is fine", () => {
  const changing = withChecksum(bitsOf("{n} {time}"), draft("", { sum: "xor" }));
  assert.ok(isMistake(changing));
  assert.match(changing.error, /\{n\}/);
  assert.ok(!isMistake(withChecksum(bitsOf("{n}"), draft(""))));
});

test("what may be a text message", () => {
  assert.ok(isText(bitsOf("é {n} {time}")));
  assert.ok(!isText(bitsOf("\\xff")));
  assert.ok(!isText(bitsOf("{rand:1}")));
  assert.ok(isStatic(bitsOf("a\\n")) && !isStatic(bitsOf("{n}")));
});

test("bytes can be typed again, all of them", () => {
  const samples = [Uint8Array.from({ length: 256 }, (_, i) => i), new TextEncoder().encode("{n} {{ {{{x \\n \\ }} {time}\u202e\r\né\n\n{"),
    Uint8Array.of(0xc3), new Uint8Array(0), Uint8Array.of(10), Uint8Array.of(0x7b, 0xff, 0x7b)];
  let seed = 7;
  const likely = [0x7b, 0x7d, 0x5c, 0x6e, 0x0a, 0x0d, 0x30, 0xc3, 0xa9, 0x00, 0x78];
  for (let i = 0; i < 5000; i++)
    samples.push(Uint8Array.from({ length: 6 }, () => likely[(seed = (seed * 48271) % 2147483647) % likely.length] ?? 0));
  for (const sample of samples) assert.equal(hex(toSource(sample)), toHex(sample), toSource(sample));
});

// If each line took as long as all before it together, this would not end before the tests' time is up.
test("a long text with many lines", () => {
  const content = "0123456789\n".repeat(200_000);
  assert.equal(fill(bitsOf(content, { end: "\r\n" }), 0, now).length, 2_400_002);
});

test("places are for people", () => {
  assert.equal(placeOf("abc", 2), "character 3");
  assert.equal(placeOf("ab\ncd", 4), "line 2, character 2");
  assert.equal(placeOf("😀x", 2), "character 2");
});
