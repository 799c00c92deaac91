// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Point } from "../types";
import { hexRows, openPacket, summaryOf } from "../views/layers_text";
import { columns, POINTS_MOST, PointStore, short, summary } from "../views/plots_data";

const point = (s: number, more: (number | null)[] = []): Point => [s * 1e9, ...[s * 100, s * 1000, 10200, 10, 0, 5, 0, 0].map((value, i) => more[i] ?? value)];

test("throughput is the difference of counts, and unknown where one is missing", () => {
  const points: Point[] = [point(0), point(1), [2e9, null, 2500, null, 10, 0, 0, 0, 0], point(3), [4e9, 100, 100, null, 10, 0, 0, 0, 0]];
  const shown = columns(points, Infinity);
  assert.deepEqual(shown.x, [-4, -3, -2, -1, 0]);
  assert.deepEqual(shown.in, [null, 100, null, null, null]);
  assert.deepEqual(shown.out, [null, 1000, 1500, 500, null]); // counts that went back are another socket's
  assert.deepEqual(shown.rtt, [10.2, 10.2, null, 10.2, null]);
});

test("a span shows one point more, so that its line comes in from the left", () => {
  const points = Array.from({ length: 61 }, (_, i) => point(i));
  assert.deepEqual(columns(points, 10).x[0], -11);
  assert.equal(columns(points, 10).out[0], 1000);
  assert.deepEqual(columns([], 10).x, []);
});

test("points are bounded, in order, and none comes twice", () => {
  const store = new PointStore();
  for (let i = 0; i < 3 * POINTS_MOST; i++) store.take([point(i)]);
  store.take([point(5), point(3 * POINTS_MOST - 1)]);
  assert.ok(store.points.length <= POINTS_MOST);
  assert.equal(store.points[store.points.length - 1]![0], (3 * POINTS_MOST - 1) * 1e9);
  assert.ok(store.points.every((each, i) => i === 0 || each[0] > store.points[i - 1]![0]));
});

test("values are short, and their summary is what is said", () => {
  assert.deepEqual([0, 10.2, 3656, 64000, 123456, 1234567, 2.5e9, null, 0.0123].map(short),
    ["0", "10.2", "3,656", "64,000", "123k", "1.23M", "2.5G", "?", "0.0123"]);
  assert.deepEqual(summary([null, 3, 1, null]), { last: 1, least: 1, most: 3 });
  assert.deepEqual(summary([null]), { last: null, least: null, most: null });
});

test("a packet is opened by layer, with its bytes where these came too", () => {
  const packet = { packet: 3, bytes: 74, captured: 70, data: btoa("\x45\x00\x00\x34\x00\x50\x1b\x5f"), fields: [
    { offset: 0, bytes: 4, layer: "IPv4", remark: "from host to host" },
    { offset: 0, bytes: 2, layer: "IPv4", name: "source", value: "10.0.0.1" }, { offset: 2, bytes: 2, layer: "IPv4", name: "destination", value: "10.0.0.2" },
    { offset: 4, bytes: 40, layer: "TCP", remark: "a stream" }, { offset: 4, bytes: 2, layer: "TCP", name: "source port", value: "80" }, null, 7] };
  const opened = openPacket(packet);
  assert.deepEqual(opened.layers.map((layer) => [layer.name, layer.fields.length, layer.hex?.length]), [["IPv4", 2, 4], ["TCP", 1, 4]]);
  assert.equal(summaryOf(opened.layers[0]!), "10.0.0.1 → 10.0.0.2");
  assert.equal(summaryOf(opened.layers[1]!), "a stream");
  assert.deepEqual(hexRows(opened.layers[1]!).map((row) => [row.offset, row.bytes.map((byte) => byte.hex).join(" "), row.ascii]), [[4, "00 50 1b 5f", ".P._"]]);
  assert.deepEqual(openPacket({ fields: "none", data: "*" }).layers, []);
  assert.equal(openPacket({ too_long: true }).tooLong, true);
});
