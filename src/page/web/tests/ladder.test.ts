// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { fullLabel } from "../views/ladder_arrows";
import type { SegmentEvent } from "../views/ladder_events";
import { fold } from "../views/ladder_fold";
import { DRAWN, KEPT_MOST, Kept, leftOutWords, partOf } from "../views/ladder_kept";
import { datagramLabel, fitLabel, labelText, segmentLabel } from "../views/ladder_label";
import { layout } from "../views/ladder_layout";
import { listLines } from "../views/ladder_list";
import { tell, type Mark, type SegmentMark } from "../views/ladder_marks";
import type { Item, Picture } from "../views/ladder_shapes";
import { callText, cells, cut, foreign, marginTime, preview, span, textOf, tlsRecord, valuesText } from "../views/ladder_text";
import type { SondeEvent } from "../types";
import { connection, feed, handshake, lossThrice, MS, segment, sound } from "./ladder_make";

const only = (event: SondeEvent): SegmentEvent => sound([event])[0] as SegmentEvent;
const label = (event: SondeEvent, room = 999, raw = false): string => {
  const own = only(event);
  return labelText(fitLabel(segmentLabel(own, raw), own, { raw, firstAck: false, afterZero: false }, room));
};
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const draw = (events: SondeEvent[], width = 700, more: object = {}): Picture => {
  const story = tell(sound(events));
  return layout(story, fold(story.marks), story.first, { width, zoom: 1, raw: false, ...more });
};
const words = (item: Item): string => item.shapes.map((shape) => textOf(shape.pieces ?? [])).join(" ");
const item = (picture: Picture, key: string): Item => {
  const found = picture.items.find((each) => each.key === key);
  assert.ok(found, `${key} is not in ${picture.items.map((each) => each.key).join(" ")}`);
  return found;
};
const segments = (marks: Mark[]): SegmentMark[] => marks.filter((mark): mark is SegmentMark => mark.kind === "segment");

// ---- texts

test("times and spans have three digits", () => {
  assert.deepEqual([0, 7e3, 5.08e6, 212e6, 60.09e9, 999.6e3, -12.4e9, 850].map(span),
    ["0 us", "7 us", "5.08 ms", "212 ms", "60.1 s", "1 ms", "-12.4 s", "850 ns"]);
  assert.deepEqual([0, 11e3, 232.5e6, 4089e6, 720e9, -1e9].map(marginTime), ["0.000", "0.011", "232.500", "4089.0", "720,000", "-1 s"]);
});

test("bytes that cannot be seen are escapes, and are cut whole", () => {
  const pieces = foreign(utf8("a\x1b[31m\u202eb"));
  assert.deepEqual(pieces, [{ text: "a" }, { text: "\\x1b", cls: "esc" }, { text: "[31m" }, { text: "\\u{202e}", cls: "esc" }, { text: "b" }]);
  assert.equal(textOf(cut(pieces, 4)), "a…");
  assert.equal(textOf(cut(pieces, 6)), "a\\x1b…");
  assert.equal(cells("你a"), 3);
});

test("a payload is shown as far as there is room, and TLS by its header", () => {
  assert.equal(textOf(preview(utf8("hello"), 5, 34)), "\"hello\"");
  assert.equal(textOf(preview(utf8("hello"), 500, 34)), "\"hello…\"");
  assert.equal(textOf(preview(utf8("a longer payload"), 16, 12)), "\"a longer …\"");
  assert.equal(textOf(preview(utf8("a longer payload"), 16, 8)), "");
  const record = Uint8Array.of(23, 3, 3, 0, 30, 1, 2);
  assert.equal(tlsRecord(record), "TLS data");
  assert.equal(tlsRecord(Uint8Array.of(24, 3, 3, 0, 1)), null);
  assert.equal(textOf(preview(record, 35, 34)), "TLS data");
});

test("a call gives up its arguments before its result", () => {
  const call = { event: "call" as const, t_ns: 0, call: "send", phase: "whole" as const, end: "b" as const, number: 1, fd: 9, bytes: 8000, result: 8000 };
  assert.equal(textOf(callText(call, "whole", 40)), "send(9, 8000) = 8000");
  assert.equal(textOf(callText(call, "whole", 14)), "send() = 8000");
  assert.equal(textOf(callText(call, "begin", 40)), "send(9, 8000)");
  assert.equal(textOf(callText({ ...call, call: "recv", result: 0 }, "end", 40)), "= 0 end");
  assert.equal(textOf(callText({ ...call, call: "recv", result: 0, datagram: true }, "end", 40)), "= 0");
  assert.equal(textOf(callText({ ...call, result: -111, error: "ECONNREFUSED" }, "end", 40)), "= ECONNREFUSED");
  assert.equal(textOf(callText({ ...call, call: "recv", fd: 4, result: 5, text: "hi\x07" }, "whole", 40)), "recv(4) = 5 \"hi\\x07…\"");
});

test("values are told when they have changed, times in ms", () => {
  const values = { event: "values" as const, t_ns: 0, end: "a" as const, rto_us: 424000, rtt_us: 10200, cwnd_segments: 1, send_queue_bytes: 3656,
    accept_queue: 2, accept_queue_limit: 1, changed: ["rto_us", "cwnd_segments", "send_queue_bytes"] };
  assert.equal(valuesText(values, 60), "rto 424 cwnd 1 Send-Q 3,656");
  assert.equal(valuesText(values, 14), "rto 424 cw 1");
  assert.equal(valuesText({ ...values, changed: ["accept_queue"] }, 60), "accept queue 2/1 full");
  assert.equal(valuesText(values, 60, ["rto_us", "cwnd_segments"]), "Send-Q 3,656");
});

// ---- labels

test("a label says flags, numbers, ack, sack, window, options, payload, in this order", () => {
  assert.equal(label(handshake()[1]!), "S seq 0 win 64240 mss 1460 wscale 10 sackOK ts");
  assert.equal(label(segment(4, "a", 0, "P.", { len: 5, text: "hello" })), "P. 1:6(5) ack 1 win 65536 \"hello\"");
  assert.equal(label(segment(4, "a", 0, ".", { options: { sack: [[7, 8], [9, 12]] }, notes: ["duplicate-ack"], repeat: 2 })),
    ". seq 1 ack 1 sack 7:8 9:12 win 65536 dup ack 2");
  assert.equal(label(segment(4, "a", 0, "P.", { len: 5, notes: ["retransmission", "rto"], again_of: 3 })), "P. 1:6(5) ack 1 again #3");
  assert.equal(label(segment(9, "b", 0, ".", { window: 0, notes: ["zero-window"] })), ". seq 1 ack 1 win 0");
  assert.equal(label(segment(9, "b", 0, ".", { notes: ["window-probe"], repeat: 3 })), ". seq 1 ack 1 probe 3");
  assert.equal(label(segment(2, "b", 0, "R.", { window: 0, notes: ["refused", "reset"] })), "R. seq 1 ack 1 win 0 refused");
  assert.equal(label(segment(4, "a", 0, "P.", { len: 5 }), 999, true), "P. 1001:1006(5) ack 2001 win 65536");
  assert.equal(labelText(datagramLabel(sound([{ event: "datagram", t_ns: 0, number: 1, from: "a", len: 2, text: "ab" }])[0] as never)), "udp 2 \"ab\"");
});

test("the least telling goes first; flags, numbers and win 0 stay", () => {
  const syn = handshake()[1]!, data = segment(4, "a", 0, "P.", { len: 5, text: "hello" });
  assert.equal(label(syn, 30), "S seq 0 win 64240 mss 1460");
  assert.equal(label(syn, 20), "S seq 0 win 64240");
  assert.equal(label(data, 26), "P. 1:6(5) ack 1 \"hello\""); // the payload whole rather than the window
  assert.equal(label(data, 16), "P. 1:6(5) ack 1");
  assert.equal(label(data, 10), "P. 1:6(5)");
  assert.equal(label(segment(7, "a", 0, "."), 22), ". ack 1 win 65536");
  assert.equal(label(segment(7, "a", 0, ".", { window: 0 }), 16), ". ack 1 win 0");
  const own = only(segment(4, "a", 0, "P.", { len: 5, notes: ["retransmission", "fills-hole"], again_of: 3 }));
  const fitted = fitLabel(segmentLabel(own, false), own, { raw: false, firstAck: false, afterZero: false }, 12);
  assert.equal(labelText(fitted), "P. 1:6(5)");
  assert.equal(textOf(fitted.below), "fills hole again #3"); // what only they say stands below
});

// ---- marks

test("states begin where a segment leaves or arrives, and only when they change", () => {
  const story = tell(sound(handshake())), begins = story.marks.filter((mark) => mark.states);
  assert.deepEqual(begins.map((mark) => [mark.kind, mark.t / MS, mark.states!.map((each) => `${each.end} ${each.state}`).join()]), [
    ["segment", 0, "a SYN_SENT"], ["arrival", 5, "b SYN_RECV"], ["arrival", 10, "a ESTABLISHED"], ["arrival", 15, "b ESTABLISHED"]]);
  assert.equal(story.flight, 5 * MS);
  assert.deepEqual(story.first, { a: "CLOSED", b: "LISTEN" });
});

test("a copy says which timer sent it, and how often", () => {
  const story = tell(sound(lossThrice()));
  assert.deepEqual(segments(story.marks).map((mark) => mark.timer), ["", "", "", "", "tail probe", "RTO 1", ""]);
  const alone = tell(sound([connection({ b: { address: "b:1", role: "server", state: "LISTEN" } }), segment(1, "a", 0, "P.", { len: 5 }),
    segment(2, "a", 300, "P.", { len: 5, notes: ["retransmission", "rto"], again_of: 1, repeat: 1, fate: undefined, arrived_ns: undefined })]));
  assert.deepEqual(segments(alone.marks)[1]!.notes, ["#1 was lost, or its ACK was"]); // nobody looked at the other end
});

test("a call with nothing between is one mark, another is a bracket", () => {
  const call = (phase: string, number: number, ms: number, more: object = {}): SondeEvent =>
    ({ event: "call", t_ns: ms * MS, call: "recv", phase, end: "b", number, fd: 4, ...more });
  const story = tell(sound([connection(), call("begin", 1, 1), call("end", 1, 1.5, { result: 5 }), call("begin", 2, 2), segment(1, "a", 3, "."),
    call("end", 2, 9, { result: 0 }), call("end", 7, 10, { result: 1 })]));
  const calls = story.marks.filter((mark) => mark.kind === "call");
  assert.deepEqual(calls.map((mark) => [mark.part, mark.mate !== undefined]), [["whole", false], ["begin", true], ["end", true], ["end", false]]);
});

test("what is not whole is passed over", () => {
  const broken = [{ event: "segment", t_ns: 1 }, { event: "segment", t_ns: 1, from: "c", number: 1, seq: 1, ack: 1, len: 1, window: 1, flags: "S" },
    { event: "call", t_ns: 1, end: "a" }, { event: "unheard-of", t_ns: 1 }, { event: "sentence", t_ns: 1 }, { event: "message", t_ns: 1, from: "a", kind: "text" },
    { event: "state", t_ns: 1, end: "a", after: "no such state" }, { event: "values", t_ns: 1, end: "b" }, { event: "loss", t_ns: 1, n: 3 }];
  const picture = draw([connection(), ...broken] as SondeEvent[]);
  assert.ok(picture.items.some((each) => words(each).includes("3 events are missing here")));
});

// ---- layout

test("the slope is the flight; a pause is dotted and says its length", () => {
  const picture = draw(lossThrice(), 700);
  const one = item(picture, "segment1"), two = item(picture, "segment2"), line = one.shapes.find((shape) => shape.attributes.class === "ln")!;
  assert.equal(two.y - one.y, 30 + 14);                  // one flight later, and the state that begins there has its row
  assert.match(String(line.attributes.d), /^M[\d.]+,0 L[\d.]+,30$/);
  const pause = picture.items.filter((each) => each.key.startsWith("pause"));
  assert.deepEqual(pause.map(words), ["208 ms of silence", "212 ms of silence"]);
  assert.ok(item(picture, "segment6").y > item(picture, "segment5").y + 50);
});

test("what was lost has a cross, and a link leads to its copy", () => {
  const picture = draw(lossThrice(), 700), lost = item(picture, "segment4"), copy = item(picture, "segment6");
  assert.ok(lost.shapes.some((shape) => shape.attributes.class === "cross"));
  assert.ok(!lost.shapes.some((shape) => "marker-end" in shape.attributes));
  assert.equal(lost.cls, "seg red");
  assert.equal(copy.cls, "seg red");
  assert.equal(words(item(picture, "besidesegment6")), "RTO 1, 4 again");
  assert.equal(picture.items.filter((each) => each.key.startsWith("link")).length, 2);
  assert.equal(copy.words, "segment 6 P. 1:6(5) ack 1 again #4, from client at 435.000 ms, RTO 1, 4 again");
});

test("without flights arrows are level, and 200 ms are a pause", () => {
  const seen = (number: number, ms: number): SondeEvent => segment(number, "a", ms, ".", { len: 5, seq: 1 + 5 * number, fate: undefined, arrived_ns: undefined, notes: ["window-update"] });
  const picture = draw([connection(), seen(1, 0), seen(2, 1), seen(3, 150), seen(4, 500)]);
  assert.match(String(item(picture, "segment1").shapes.find((shape) => shape.attributes.class === "ln")!.attributes.d), /,0 L[\d.]+,0$/);
  assert.equal(picture.items.filter((each) => each.key.startsWith("pause")).length, 1);
});

test("no two labels lie on each other, however many are on their way", () => {
  const many = Array.from({ length: 40 }, (_, i) => segment(i + 1, i % 2 ? "b" : "a", i * 0.1, "P.", { len: 10, text: "0123456789",
    seq: 1 + 10 * i, notes: ["window-update"] }));
  const picture = draw([connection(), ...many], 640);
  const at = picture.items.filter((each) => each.segment !== undefined).map((each) => {
    const shape = each.shapes.find((part) => part.tag === "text" && String(part.attributes.class).includes("mono"))!;
    assert.equal(shape.attributes.transform, undefined); // level, in the sender's row
    return each.y + Number(shape.attributes.y);
  });
  for (let i = 1; i < at.length; i++) assert.ok(at[i]! - at[i - 1]! >= 12, `${at[i - 1]} and ${at[i]}`);
});

test("nothing reaches beyond the width, at any width", () => {
  for (const width of [420, 448, 520, 640, 900, 1400]) {
    const picture = draw([...lossThrice(), { event: "values", t_ns: 441 * MS, end: "a", rto_us: 848000, cwnd_segments: 1, changed: ["rto_us", "cwnd_segments"] }], width);
    for (const each of picture.items) for (const shape of each.shapes) {
      if (shape.tag !== "text" || shape.attributes.transform) continue;
      const pixels = cells(textOf(shape.pieces!)) * 5.5, x = Number(shape.attributes.x), cls = String(shape.attributes.class);
      const from = /\bend\b/.test(cls) ? x - pixels : /\bmid\b/.test(cls) ? x - pixels / 2 : x;
      assert.ok(from >= -1 && from + pixels <= width + 1, `${width}: "${textOf(shape.pieces!)}" from ${from} to ${from + pixels}`);
    }
    assert.ok(picture.items.some((each) => each.key === "segment7"));
  }
});

test("calls are brackets outside of the band, open ones as far as the end", () => {
  const picture = draw([...handshake(), { event: "call", t_ns: 12 * MS, call: "recv", phase: "begin", end: "b", number: 1, fd: 4 }], 700);
  const d = String(item(picture, "call4").shapes[0]!.attributes.d), height = Number(/V(\d+)/.exec(d)![1]);
  assert.ok(Math.abs(item(picture, "call4").y + height - picture.height) <= 1);
});

test("the same events give the same picture, and later ones do not move earlier ones", () => {
  const all = lossThrice(), flight = 5 * MS, now = draw(all.slice(0, 6), 700, { flight }), then = draw(all, 700, { flight });
  assert.deepEqual(draw(all), draw(all));
  for (const key of ["segment1", "segment2", "segment3", "segment4"]) assert.equal(item(then, key).y, item(now, key).y);
});

// ---- repeats

test("data in a row is one arrow, and what is notable is not folded", () => {
  const data = (number: number, more: object = {}): SondeEvent => segment(number, "b", 20 + number * 0.01, ".", { len: 1448, seq: 1 + 1448 * (number - 10), ...more });
  const run = [...handshake(), data(10), data(11), data(12), data(13, { notes: ["window-full"] })];
  const marks = fold(tell(sound(run)).marks), first = segments(marks).find((mark) => mark.folded)!;
  assert.deepEqual(first.folded!.map((event) => event.number), [10, 11, 12]);
  assert.equal(labelText(fullLabel(first, false)!), ". 1:4345(3×1448) ack 1 win 65536");
  assert.deepEqual(segments(marks).map((mark) => [mark.event.number, mark.isTail ?? false]).slice(3), [[10, false], [12, true], [13, false]]);
  assert.equal(segments(fold(tell(sound(lossThrice())).marks)).length, 7);
});

test("probes past the second are counted", () => {
  const probes = Array.from({ length: 5 }, (_, i) => [
    segment(20 + 2 * i, "b", 1000 * (i + 1), ".", { notes: ["window-probe"], repeat: i + 1 }),
    segment(21 + 2 * i, "a", 1000 * (i + 1) + 6, ".", { window: 0, notes: ["zero-window", "probe-answer"] })]).flat();
  const marks = fold(tell(sound([...handshake(), ...probes])).marks);
  assert.deepEqual(marks.filter((mark) => mark.kind === "fold").map((mark) => mark.words), ["3 more probes folded, #24–#29"]);
});

// ---- what is kept

test("what was left out is said at its place", () => {
  assert.deepEqual(leftOutWords(1, 320, 4), ["1 event is no longer kept", "320 events left out: 1 in 4 is drawn"]);
  const kept = new Kept();
  kept.take(feed(handshake(), { first: true }));
  kept.take(feed([segment(9, "a", 30, ".")], { left_out: 320, one_in: 4 }));
  const { marks } = kept.story(true);
  assert.deepEqual(marks.slice(-3).map((mark) => mark.kind), ["gap", "segment", "arrival"]);
  kept.take(feed([], { first: true }));
  assert.equal(kept.size, 0);
});

test("the oldest go, and the connection is still known, with its states", () => {
  const kept = new Kept();
  kept.take(feed(handshake(), { first: true }));
  for (let i = 0; i < KEPT_MOST / 100 + 2; i++)
    kept.take(feed(Array.from({ length: 100 }, (_, j) => segment(4 + i * 100 + j, j % 2 ? "b" : "a", 20 + (i * 100 + j) * 10, ".", { notes: ["dsack"] }))));
  const { story, marks } = kept.story(false);
  assert.ok(kept.size <= KEPT_MOST + 100 && kept.forgotten > 0);
  assert.equal(story.connection.end.a.program, "nc");
  assert.deepEqual(story.first, { a: "ESTABLISHED", b: "ESTABLISHED" });
  assert.equal(story.connection.origin, 0);
  assert.equal(new Set(marks.map((mark) => mark.kind + mark.at)).size, marks.length); // keys of what is drawn
});

test("the newest are drawn, in steps, and pages go through the rest", () => {
  const marks = Array.from({ length: 1050 }, (_, i) => ({ at: i, kind: "state" }) as unknown as Mark);
  const newest = partOf(marks, null);
  assert.equal(newest.to, 1050);
  assert.equal(newest.from % 100, 0);
  assert.ok(newest.to - newest.from >= DRAWN && newest.to - newest.from <= DRAWN + 100);
  assert.equal(partOf(marks.slice(0, 1049), null).from, newest.from);
  assert.deepEqual(partOf(marks, 700), { from: 300, to: 700 });
  assert.deepEqual(partOf(marks.slice(0, 30), null), { from: 0, to: 30 });
});

// ---- the list

test("the list has one event a line, and says all", () => {
  const story = tell(sound([...lossThrice(), { event: "handshake", t_ns: 441 * MS, layer: "tls", end: "b", result: 0, start_ns: 440 * MS, agreed: "TLSv1.3" },
    { event: "message", t_ns: 442 * MS, kind: "text", from: "a", end: "b", number: 1, len: 5, text: "h\u202ei" }]));
  const lines = listLines(story, fold(story.marks), false);
  const text = lines.map((line) => textOf(line.pieces));
  assert.equal(text[0], "1 > S seq 0 win 64240 mss 1460 wscale 10 sackOK ts  client SYN_SENT");
  assert.ok(text.includes("4 > P. 1:6(5) ack 1 win 65536 \"hello\" × lost"));
  assert.ok(text.includes("6 > P. 1:6(5) ack 1 again #4  RTO 1, 4 again"));
  assert.ok(text.includes("server TLS handshake, 1 ms: TLSv1.3"));
  assert.ok(text.includes("server > text 5 \"h\\u{202e}i\""));
  assert.equal(lines.filter((line) => line.segment !== undefined).length, 7);
});
