// SPDX-License-Identifier: MIT
// A file to the peer, piece by piece: the next one when the last was taken, and slower while the peer does not read.
import { toBase64 } from "../bytes";
import type { Answer, Command } from "../types";

export const PIECE = 48 * 1024;
const QUEUED_MUCH = 512 * 1024;

export interface FileJob {
  file: Pick<Blob, "slice" | "size">; id: number; isMessage: boolean;   // isMessage: it goes as one message
  ask(command: Command): Promise<Answer>;
  sleep(ms: number): Promise<void>;
  isOver(): boolean;
  progress(sent: number, waits: boolean): void;
}

// Gives what went wrong; null: all of it was handed over. Rejects as `ask` does.
export async function sendFile(job: FileJob): Promise<string | null> {
  const size = job.isMessage ? Math.max(1, job.file.size) : PIECE;
  let pause = 50;
  for (let at = 0; at < job.file.size || (at === 0 && job.isMessage);) {
    if (job.isOver()) return "Cancelled.";
    const bytes = new Uint8Array(await job.file.slice(at, at + size).arrayBuffer());
    const answer = await job.ask({ do: "send", id: job.id, parts: [{ data: toBase64(bytes) }], text: false, every_ms: 0, count: 0 });
    if (answer.kind !== "result") return "sonde gave another answer than was asked for.";
    if (!answer.ok && !answer.busy) return answer.error ?? "sonde did not send it.";
    if (!answer.ok) {
      job.progress(at, true);
      await job.sleep(pause);
      pause = Math.min(400, pause * 2);
      continue;
    }
    pause = 50;
    at += Math.max(1, bytes.length);
    const waits = (answer.queued ?? 0) > QUEUED_MUCH;
    job.progress(Math.min(at, job.file.size), waits);
    if (waits) await job.sleep(100);
  }
  return null;
}
