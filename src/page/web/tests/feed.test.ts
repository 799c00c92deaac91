// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { Feed, LostError, takeToken, type FeedState } from "../feed";
import type { ServerMessage } from "../types";

const TOKEN = "a".repeat(43);
const OTHER = "b".repeat(43);

// A WebSocket that does what it is told.
class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: Record<string, unknown>[] = [];
  isClosed = false;
  send(text: string): void { this.sent.push(JSON.parse(text) as Record<string, unknown>); }
  close(): void { this.isClosed = true; }
  say(message: object): void { this.onmessage?.({ data: JSON.stringify(message) }); }
}

function make() {
  const sockets: FakeSocket[] = [];
  const states: FeedState[] = [];
  const messages: ServerMessage[] = [];
  const waits: { ms: number; then: () => void }[] = [];
  const feed = new Feed(
    { message: (message) => messages.push(message), state: (state) => states.push(state) },
    {
      open: () => {
        sockets.push(new FakeSocket());
        return sockets.at(-1) as unknown as WebSocket;
      },
      wait: (ms, then) => {
        waits.push({ ms, then });
        return () => undefined;
      },
    });
  const last = () => {
    const socket = sockets.at(-1);
    assert.ok(socket);
    return socket;
  };
  const welcome = () => {
    last().onopen?.();
    last().say({ kind: "welcome", re: last().sent[0]?.["re"] });
  };
  return { feed, sockets, states, messages, waits, last, welcome };
}

test("the token is shown first, and never twice on one connection", () => {
  const { feed, last, welcome, states } = make();
  feed.start(TOKEN);
  welcome();
  assert.deepEqual(last().sent.map((one) => [one["do"], one["token"]]), [["hello", TOKEN]]);
  assert.deepEqual(states.map(({ is }) => is), ["connecting", "open"]);
});

test("without a token nothing is connected", () => {
  const { feed, sockets, states } = make();
  feed.start(null);
  assert.equal(sockets.length, 0);
  assert.equal(states[0]?.is, "no-token");
});

test("answers find who asked, in whatever order they come", async () => {
  const { feed, last, welcome } = make();
  feed.start(TOKEN);
  welcome();
  const first = feed.ask({ do: "pause" }), second = feed.ask({ do: "resume" });
  const [one, two] = last().sent.slice(1);
  last().say({ kind: "result", re: two?.["re"], ok: true });
  last().say({ kind: "result", re: one?.["re"], ok: false, error: "no" });
  assert.equal((await second as { ok: boolean }).ok, true);
  assert.equal((await first as { error: string }).error, "no");
});

test("nothing can be asked before sonde has answered", async () => {
  const { feed, last } = make();
  feed.start(TOKEN);
  last().onopen?.();
  await assert.rejects(feed.ask({ do: "pause" }), (error) => error instanceof LostError);
  assert.equal(last().sent.length, 1);
});

test("a loss is told to who asked, and sought again, later each time, up to ten seconds", async () => {
  const { feed, last, welcome, waits, states } = make();
  feed.start(TOKEN);
  welcome();
  const asked = feed.ask({ do: "pause" });
  last().onclose?.({ code: 1006 });
  await assert.rejects(asked, (error) => error instanceof LostError);
  for (let i = 0; i < 6; i++) {
    waits.at(-1)?.then();
    last().onclose?.({ code: 1006 });
  }
  assert.deepEqual(waits.map(({ ms }) => ms), [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  waits.at(-1)?.then();
  welcome();
  assert.equal(states.at(-1)?.is, "open");
  last().onclose?.({ code: 1006 });
  assert.equal(waits.at(-1)?.ms, 500);
});

test("why sonde ended is kept until it is back", () => {
  const { feed, last, welcome, states } = make();
  feed.start(TOKEN);
  welcome();
  last().say({ kind: "bye", why: "sonde has ended." });
  last().onclose?.({ code: 1001 });
  assert.deepEqual(states.at(-1), { is: "lost", retryMs: 500, why: "sonde has ended." });
});

test("a token that is not the right one is not shown again", () => {
  const { feed, last, waits, states, sockets } = make();
  feed.start(TOKEN);
  last().onopen?.();
  last().onclose?.({ code: 4401 });
  assert.equal(states.at(-1)?.is, "refused");
  assert.equal(waits.length, 0);
  feed.retry();
  assert.equal(sockets.length, 1);
  feed.start(OTHER);
  last().onopen?.();
  assert.equal(last().sent[0]?.["token"], OTHER);
});

test("what an abandoned connection still says is not heard", () => {
  const { feed, sockets, messages, welcome } = make();
  feed.start(TOKEN);
  welcome();
  feed.start(OTHER);
  const before = messages.length;
  sockets[0]?.say({ kind: "overview" });
  sockets[0]?.onclose?.({ code: 1006 });
  assert.equal(messages.length, before);
  assert.ok(sockets[0]?.isClosed);
});

test("what is not JSON is passed over", () => {
  const { feed, last, welcome, messages } = make();
  feed.start(TOKEN);
  welcome();
  const error = console.error;
  console.error = () => undefined;
  last().onmessage?.({ data: "{" });
  console.error = error;
  assert.equal(messages.length, 1);
});

test("the token leaves the address bar, and a reload finds it", () => {
  const kept = new Map<string, string>();
  const store = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, text: string) => kept.set(key, text) };
  let shown: string | null = null;
  const past = { replaceState: (_: unknown, __: string, url: string) => { shown = url; } };
  const take = (hash: string) =>
    takeToken({ hash, pathname: "/" } as Location, store as unknown as Storage, past as unknown as History);
  assert.equal(take(""), null);
  assert.equal(take("#row-12"), null);
  assert.equal(shown, null);
  assert.equal(take(`#${TOKEN}`), TOKEN);
  assert.equal(shown, "/");
  assert.equal(take("#row-12"), TOKEN);
  assert.equal(take(`#${OTHER}`), OTHER);
});
