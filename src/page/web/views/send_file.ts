// SPDX-License-Identifier: MIT
// A file to the peer, piece by piece: the next one when the last was taken, and slower while the peer does not read.
//
// One piece is on its way at a time: of several, one could be refused because the queue is full and the one after it be
// taken. Pieces are large instead, and while one is on its way the next is read and encoded.
import { toBase64 } from "../bytes";
import type { Answer, Command } from "../types";

export const PIECE = 192 * 1024;
const QUEUED_MUCH = 512 * 1024;

export interface FileJob {
  file: Pick<Blob, "slice" | "size">; id: number; isMessage: boolean;   // isMessage: it goes as one message
  ask(command: Command): Promise<Answer>;
  sleep(ms: number): Promise<void>;
  isOver(): boolean;
  progress(sent: number, waits: boolean): void;
}

interface Piece { n: number; data: string }

function prepare(job: FileJob, at: number, size: number): Promise<Piece> {
  const made = job.file.slice(at, at + size).arrayBuffer().then((buffer) => ({ n: buffer.byteLength, data: toBase64(new Uint8Array(buffer)) }));
  made.catch(() => undefined); // whoever waits for it hears of it; perhaps nobody does any more
  return made;
}

// Gives what went wrong; null: all of it was handed over. Rejects as `ask` does.
export async function sendFile(job: FileJob): Promise<string | null> {
  const size = job.isMessage ? Math.max(1, job.file.size) : PIECE;
  let pause = 50, next = prepare(job, 0, size);
  for (let at = 0; at < job.file.size || (at === 0 && job.isMessage);) {
    const piece = await next;
    if (job.isOver()) return "Cancelled.";
    const asked = job.ask({ do: "send", id: job.id, parts: [{ data: piece.data }], text: false, every_ms: 0, count: 0 });
    const after = at + size < job.file.size ? prepare(job, at + size, size) : next;
    const answer = await asked;
    if (answer.kind !== "result") return "sonde gave another answer than was asked for.";
    if (!answer.ok && !answer.busy) return answer.error ?? "sonde did not send it.";
    if (!answer.ok) {
      job.progress(at, true);
      await job.sleep(pause);
      pause = Math.min(400, pause * 2);
      continue;
    }
    pause = 50;
    next = after;
    at += Math.max(1, piece.n);
    const waits = (answer.queued ?? 0) > QUEUED_MUCH;
    job.progress(Math.min(at, job.file.size), waits);
    if (waits) await job.sleep(100);
  }
  return null;
}
