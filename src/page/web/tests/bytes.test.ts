// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checksum, dump, endsWithChecksum, find, fromBase64, inspect, isMistake, isUtf8, parseHex, pieces, toBase64, toC, toHex, toText,
} from "../bytes";

const bytes = (...all: number[]): Uint8Array => Uint8Array.from(all);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const all256 = Uint8Array.from({ length: 256 }, (_, i) => i);
const shown = (data: Uint8Array): string => pieces(data).filter((p) => p.n).map((p) => (p.escape ? `<${p.text}>` : p.text)).join("");

test("base64 comes back, long ones too", () => {
  for (const data of [bytes(), all256, new Uint8Array(100_001).fill(0xfe)]) assert.deepEqual(fromBase64(toBase64(data)), data);
  assert.equal(toBase64(utf8("sonde")), "c29uZGU=");
});

test("hex is read as people write it", () => {
  for (const text of ["01 02 ff", "0102ff", "0x01, 0x02, 0xFF", "01:02:ff", "{0x1, 2, 0xff};", "01\n02\tff\n", "\\x01\\x02\\xff",
    "[01-02-FF]", "01h 02h FFh", "  0102  ff "])
    assert.deepEqual(parseHex(text), { value: bytes(1, 2, 255) }, text);
  assert.deepEqual(parseHex(""), { value: bytes() });
  assert.deepEqual(parseHex(toHex(all256)), { value: all256 });
});

test("hex says where it is wrong", () => {
  const wrong: [string, number][] = [["01 0g", 4], ["01 023", 3], ["zz", 0], ["0x", 1], ["01 0x123", 5], ["é", 0]];
  for (const [text, at] of wrong) {
    const parsed = parseHex(text);
    assert.ok(isMistake(parsed), text);
    assert.equal(parsed.at, at, text);
    assert.match(parsed.error, /hex digit/);
  }
});

test("what would not be seen is an escape", () => {
  assert.equal(shown(utf8("a\tb\r\n\0\x1b[31m\x7f")), "a<\\t>b<\\r\\n><\\0\\x1b>[31m<\\x7f>");
  assert.equal(shown(utf8("\u202eevil\u2066\u200b\ufeff\u00a0\u00ad\u0085")), "<\\u{202e}>evil<\\u{2066}\\u{200b}\\u{feff}\\u{a0}\\u{ad}\\u{85}>");
  assert.equal(shown(utf8("</script> é 漢 😀")), "</script> é 漢 😀");
  assert.equal(shown(utf8("\u{e0041}\u3164\u2028")), "<\\u{e0041}\\u{3164}\\u{2028}>");
  // Two marks on a letter are a language's; the third, and one with no letter before it, are not.
  assert.equal(shown(utf8("e\u0301\u0302\u0303x")), "e\u0301\u0302<\\u{303}>x");
  assert.equal(shown(utf8("\u0301")), "<\\u{301}>");
});

test("bytes that are no UTF-8 are shown one by one", () => {
  const wrong: number[][] = [[0x80], [0xff], [0xc0, 0xaf], [0xc1, 0xbf], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82], [0xc3]];
  for (const data of wrong) {
    assert.equal(shown(Uint8Array.from(data)), `<${data.map((b) => `\\x${b.toString(16)}`).join("")}>`);
    assert.equal(isUtf8(Uint8Array.from(data)), false);
  }
  assert.equal(shown(bytes(0xc3, 0x28)), "<\\xc3>(");
  assert.ok(isUtf8(utf8("é漢😀\0")));
});

test("our UTF-8 is the browser's", () => {
  const strict = new TextDecoder("utf-8", { fatal: true });
  let seed = 1;
  const next = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  const likely = [0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  let valid = 0;
  for (let i = 0; i < 20_000; i++) {
    const data = Uint8Array.from({ length: 1 + next(5) }, () => likely[next(likely.length)] ?? 0);
    let is = true;
    try { strict.decode(data); } catch { is = false; }
    assert.equal(isUtf8(data), is, toHex(data));
    assert.equal(pieces(data).reduce((sum, piece) => sum + piece.n, 0), data.length);
    valid += Number(is);
  }
  assert.ok(valid > 500 && valid < 19_500, `the generator makes both kinds: ${valid}`);
});

test("line feeds break lines, but none at the end", () => {
  assert.equal(pieces(utf8("a\nb\n")).map((p) => p.text).join(""), "a\\n\nb\\n");
  assert.equal(pieces(utf8("\n\n")).map((p) => p.text).join("|"), "\\n|\n|\\n");
});

test("copied text keeps lines and tabs, and nothing that is not seen", () => {
  assert.equal(toText(utf8("a\tb\r\n\u202ec\x1b")), "a\tb\r\n\\u{202e}c\\x1b");
  assert.equal(toText(bytes(0x61, 0xff, 0x0a)), "a\\xff\n");
});

test("dump and C", () => {
  assert.deepEqual(dump(utf8("0123456789\n"), 8).map((l) => [l.at, toHex(l.bytes), l.ascii]),
    [[0, "30 31 32 33 34 35 36 37", "01234567"], [8, "38 39 0a", "89."]]);
  assert.equal(toC(bytes(1, 255)), "static const unsigned char data[2] = {\n    0x01, 0xff,\n};\n");
});

test("find", () => {
  const data = utf8("aabaabaaab");
  assert.equal(find(data, utf8("aaab")), 6);
  assert.equal(find(data, utf8("aab"), 1), 3);
  assert.equal(find(data, utf8("abc")), -1);
  assert.equal(find(data, bytes()), -1);
});

test("checksums are those of the catalogue", () => {
  const check = utf8("123456789");
  assert.equal(toHex(checksum("modbus", check, "big")), "4b 37");
  assert.equal(toHex(checksum("ccitt", check)), "29 b1");
  assert.equal(toHex(checksum("crc32", check)), "cb f4 39 26");
  assert.equal(toHex(checksum("crc32", check, "little")), "26 39 f4 cb");
  assert.equal(toHex(checksum("sum8", check)), "dd");
  assert.equal(toHex(checksum("xor", check)), "31");
  assert.equal(checksum("none", check).length, 0);
  // A Modbus request as it is on the wire.
  assert.equal(toHex(checksum("modbus", bytes(1, 3, 0, 0, 0, 10))), "c5 cd");
});

test("a checksum at the end is recognised", () => {
  assert.equal(endsWithChecksum(bytes(1, 3, 0, 0, 0, 10, 0xc5, 0xcd)), "CRC-16/MODBUS, low byte first");
  assert.equal(endsWithChecksum(utf8("hello")), null);
  assert.equal(endsWithChecksum(bytes(1)), null);
});

test("numbers, both byte orders, and only what fits", () => {
  const of = (data: Uint8Array, at = 0): Record<string, [string, string | null]> =>
    Object.fromEntries(inspect(data, at).map((r) => [r.name, [r.little, r.big]]));
  assert.deepEqual(of(bytes(0xff)), { u8: ["255", null], i8: ["-1", null] });
  assert.deepEqual(of(bytes(0, 1, 0xff), 1), { u8: ["1", null], i8: ["1", null], u16: ["65281", "511"], i16: ["-255", "511"] });
  assert.deepEqual(of(bytes(0, 0, 0x80, 0x3f)).f32, ["1", "4.600603e-41"]);
  assert.deepEqual(of(bytes(1, 0, 0, 0, 0, 0, 0, 0x80)).u64, ["9223372036854775809", "72057594037928064"]);
  assert.deepEqual(of(bytes(0, 0, 0, 0, 0, 0, 0xf0, 0x3f)).f64?.[0], "1");
  assert.deepEqual(inspect(bytes(), 0), []);
});
