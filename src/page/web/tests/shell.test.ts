// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { age, milliseconds, plain, splitSentence } from "../text";
import type { Overview, Row } from "../types";
import { roomFor, sayHowMany } from "../views/connections";
import { briefOf, columns, nextSort, sortRows } from "../views/connections_columns";
import { whereOf } from "../views/header";
import { say } from "../views/notice";
import { newerOf, whyNot } from "../views/opened";

function row(id: number, more: Partial<Row> = {}): Row {
  return { id, local: "127.0.0.1:7007", peer: `10.0.0.${id}:4000`, protocol: "tcp", layers: null, note: null,
    state: "ESTABLISHED", class: "open", recv_q: 0, send_q: 0, rtt_us: null, in: 0, out: 0, in_per_s: 0, out_per_s: 0,
    age_ms: 0, timer: null, owner: null, brief: null, trouble: false, verdict: null, ended: false, can: [], trace: null,
    n_messages: 0, messages_kind: "bytes", ...more };
}

function overview(more: Partial<Overview>): Overview {
  return { kind: "overview", t_ns: 0, connections: 3, shown: 3, events_per_s: 0, attention: [], sampled: null, missed: 0,
    listeners: [], rows: [], ...more };
}

test("what is left out is said, and what is exact", () => {
  const said = say({ is: "open" }, overview({ connections: 1012, shown: 200,
    sampled: { rows: true, events_one_in: 10, connections_one_in: 1, why: "more than 1,000 events/s" } }), false, "");
  assert.equal(said.className, "sampled");
  assert.match(said.text, /200 of 1,012/);
  assert.match(said.text, /1 event in 10/);
  assert.match(said.text, /every event/);
  assert.equal(said.action, "more");
});

test("sampled events are said where every row is shown", () => {
  const said = say({ is: "open" }, overview({ sampled: { rows: false, events_one_in: 7, connections_one_in: 1, why: "" } }), false, "");
  assert.match(said.text, /1 event in 7/);
  assert.equal(said.action, null);
});

test("what is sampled in some other way is not passed over in silence", () => {
  const said = say({ is: "open" }, overview({ sampled: { rows: false, events_one_in: 1, connections_one_in: 1, why: "this browser is slow" } }), false, "");
  assert.match(said.text, /this browser is slow/);
});

test("nothing is claimed to be whole when it is not", () => {
  assert.match(say({ is: "open" }, overview({}), false, "").text, /Nothing is left out/);
  assert.doesNotMatch(say({ is: "open" }, overview({ shown: 2 }), false, "").text, /Nothing is left out/);
  assert.match(say({ is: "open" }, overview({ missed: 3 }), false, "").text, /3 updates were passed over/);
});

test("a loss goes before all else, a pause before sampling", () => {
  const some = overview({ shown: 1 });
  assert.match(say({ is: "lost", retryMs: 500, why: null }, some, true, "").bold, /lost/);
  assert.equal(say({ is: "lost", retryMs: 500, why: "sonde has ended." }, some, false, "").bold, "sonde has ended.");
  assert.match(say({ is: "refused" }, some, true, "").text, /Open the URL/);
  assert.equal(say({ is: "no-token" }, null, false, "").bold, "Open the URL that sonde printed:");
  assert.equal(say({ is: "open" }, some, true, "10:00:00").bold, "Paused.");
});

test("rows are ordered by what is shown, unknown ones last both ways", () => {
  const rows = [row(1, { rtt_us: 20 }), row(2), row(3, { rtt_us: 100 })];
  const ids = (key: string, isDescending: boolean) => sortRows(rows, { key, isDescending }).map(({ id }) => id);
  assert.deepEqual(ids("rtt", true), [3, 1, 2]);
  assert.deepEqual(ids("rtt", false), [1, 3, 2]);
  assert.deepEqual(sortRows(rows, null), rows);
});

test("addresses are ordered as people do", () => {
  const rows = [row(10), row(9)];
  assert.deepEqual(sortRows(rows, { key: "peer", isDescending: false }).map(({ id }) => id), [9, 10]);
});

test("trouble comes first when ordered by verdict", () => {
  const rows = [row(1), row(2, { brief: "closing" }), row(3, { brief: "zero window", trouble: true })];
  assert.equal(sortRows(rows, { key: "verdict", isDescending: false })[0]?.id, 3);
});

test("a head turns the order around, and then leaves it to sonde", () => {
  const column = columns.find(({ key }) => key === "send_q");
  assert.ok(column);
  const first = nextSort(null, column);
  assert.deepEqual(first, { key: "send_q", isDescending: true });
  const second = nextSort(first, column);
  assert.deepEqual(second, { key: "send_q", isDescending: false });
  assert.equal(nextSort(second, column), null);
});

test("the timer stands where nothing is wrong", () => {
  assert.equal(briefOf(row(1, { class: "wait", timer: { name: "timewait", ms: 41_000, n: 0 } })), "41 s left");
  assert.equal(briefOf(row(1, { timer: { name: "probe", ms: 4000, n: 5 } })), "probe 5, 4.0 s");
  assert.equal(briefOf(row(1, { brief: "peer not reading", timer: { name: "probe", ms: 4000, n: 5 } })), "peer not reading");
});

test("figures keep to their column", () => {
  const text = (n: number) => columns.find(({ key }) => key === "in")?.text(row(1, { in: n }));
  assert.equal(text(999_999), "999,999");
  assert.equal(text(1_234_567), "1.23 M");
  assert.equal(text(4_294_967_296), "4.29 G");
});

test("times of people", () => {
  assert.deepEqual([0, 9400, 41_000, 130_000, 11_520_000, 187_200_000].map(age),
    ["0.0 s", "9.4 s", "41 s", "2 m 10 s", "3 h 12 m", "2 d 4 h"]);
  assert.deepEqual([30, 10_200, 212_000].map(milliseconds), ["0.03", "10.2", "212"]);
});

test("what would not be seen is written out", () => {
  assert.equal(plain("a\u202eb\u0000\n\u200b"), "a\\u{202e}b\\x00\\n\\u{200b}");
  assert.equal(plain("grüß dich"), "grüß dich");
});

test("the first sentence is what is the matter", () => {
  assert.deepEqual(splitSentence("Full: new clients hang. A limit of 1.5 holds 2."),
    ["Full: new clients hang.", " A limit of 1.5 holds 2."]);
  assert.deepEqual(splitSentence("10.0.0.1:40490 does not read"), ["10.0.0.1:40490 does not read", ""]);
});

test("why nothing can be done is said", () => {
  const app = (read_only: boolean, rights: string[]) => ({
    welcome: { read_only } as never, can: (right: string) => rights.includes(right),
  });
  assert.match(whyNot(app(true, ["see"]), row(1)) ?? "", /Read-only/);
  assert.match(whyNot(app(false, ["see", "send", "kick"]), row(1)) ?? "", /only be looked at/);
  assert.equal(whyNot(app(false, ["see", "send", "kick"]), row(1, { can: ["send"] })), null);
});

test("how many there are is said as people say it", () => {
  assert.deepEqual([[0, 0, 0], [0, 0, 1], [1, 1, 0], [2, 2, 1], [200, 1012, 3]].map(([shown, all, ended]) => sayHowMany(shown!, all!, ended!)),
    ["", "none open, 1 ended", "1 connection", "2 connections, and 1 ended", "200 of 1,012 connections"]);
});

test("the port that port 0 became is said", () => {
  assert.equal(whereOf("serve echo any://127.0.0.1:0", [{ address: "127.0.0.1:4001" }]), "at 127.0.0.1:4001");
  assert.equal(whereOf("serve echo any://127.0.0.1:7007", [{ address: "127.0.0.1:7007" }]), "");
  assert.equal(whereOf("serve echo tcp://127.0.0.1:0", []), "");
});

test("a peer that is back is found by its host", () => {
  const gone = row(1, { peer: "10.0.0.1:4000", ended: true });
  const back = row(7, { peer: "10.0.0.1:4001" });
  assert.equal(newerOf(gone, [gone, row(5, { peer: "10.0.0.1:3999" }), back, row(8)]), back);
  assert.equal(newerOf({ ...gone, ended: false }, [back]), null);
  assert.equal(newerOf(gone, [gone, row(8)]), null);
});

test("who connects again has another port itself", () => {
  const device = { peer: "192.168.0.7:5188" };
  const gone = row(1, { ...device, local: "10.0.0.1:4000", ended: true });
  const back = row(2, { ...device, local: "10.0.0.1:4001" });
  assert.equal(newerOf(gone, [gone, back]), back);
  assert.equal(newerOf(gone, [gone, row(2, { ...device, local: "10.0.0.2:4001" })]), null);
});

test("the table's room grows in steps, and not without end", () => {
  assert.equal(roomFor(0), roomFor(2));
  assert.equal(roomFor(3), roomFor(4));
  assert.equal(roomFor(5), roomFor(8));
  assert.equal(roomFor(11), roomFor(1000));
});
