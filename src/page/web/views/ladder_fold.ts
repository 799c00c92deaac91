// SPDX-License-Identifier: MIT
// Repeats folded: data in a row, acknowledgements in a row, probes that say the same again. What is lost, sent again,
// changes a state or has anything else to be said of is never folded.
import { has, type SegmentEvent } from "./ladder_events";
import { isPureAck } from "./ladder_label";
import type { Mark, SegmentMark } from "./ladder_marks";

const PROBES_SHOWN = 2;

function isPlain(mark: SegmentMark): boolean {
  const event = mark.event;
  return !mark.states && !mark.arrival?.states && mark.timer === "" && (event.notes?.length ?? 0) === 0 &&
    event.fate !== "lost" && event.fate !== "thrown-away" && /^P?\.$/.test(event.flags) && event.window > 0 &&
    !mark.afterZero && !mark.firstAck && !event.options?.sack?.length;
}

function follows(before: SegmentEvent, event: SegmentEvent): boolean {
  if (before.from !== event.from || isPureAck(before) !== isPureAck(event)) return false;
  return isPureAck(event) ? event.seq === before.seq : event.seq === before.seq + before.len;
}

const RUN_MOST = 500;

// Segments in a row. What arrives meanwhile, without anything to be said of it, does not part them.
function runAt(marks: Mark[], from: number): SegmentMark[] {
  const segments: SegmentMark[] = [];
  for (let i = from; i < marks.length && segments.length < RUN_MOST; i++) {
    const mark = marks[i]!, last = segments[segments.length - 1];
    if (mark.kind === "arrival" && !mark.states) continue;
    if (mark.kind !== "segment" || !isPlain(mark) || (last && !follows(last.event, mark.event))) break;
    segments.push(mark);
  }
  return segments;
}

function foldRuns(marks: Mark[]): Mark[] {
  const gone = new Set<Mark>();
  marks.forEach((mark, i) => {
    if (gone.has(mark) || mark.kind !== "segment" || mark.isTail || !isPlain(mark)) return;
    const run = runAt(marks, i), last = run[run.length - 1]!;
    if (run.length < 2) return;
    mark.folded = run.map((each) => each.event);
    // Where flights are known the last one is drawn too, without words: the run is what is between.
    const keepsTail = mark.arrival !== undefined && last.arrival !== undefined;
    last.isTail = keepsTail;
    for (const each of run.slice(1)) {
      if (each === last && keepsTail) continue;
      gone.add(each);
      if (each.arrival) gone.add(each.arrival);
    }
  });
  return marks.filter((mark) => !gone.has(mark));
}

const isProbe = (event: SegmentEvent): boolean => has(event, "window-probe") || has(event, "keep-alive");
const isAnswer = (event: SegmentEvent): boolean => has(event, "probe-answer") || has(event, "keep-alive-answer");

function foldProbes(marks: Mark[]): Mark[] {
  const kept: Mark[] = [];
  let shown = 0, folded: Mark[] = [];
  const close = (): void => {
    const segments = folded.filter((mark): mark is SegmentMark => mark.kind === "segment");
    const probes = segments.filter((mark) => isProbe(mark.event)).length;
    const first = segments[0], last = segments[segments.length - 1];
    if (probes < 2 || !first || !last) kept.push(...folded);
    else
      kept.push({ kind: "fold", t: first.t, at: first.at, until: folded[folded.length - 1]!.t, now: last.now, event: first.event,
        words: `${probes} more ${has(first.event, "keep-alive") ? "keep-alives" : "probes"} folded, #${first.event.number}–#${
          last.event.number}` });
    folded = [];
  };
  for (const mark of marks) {
    const event = mark.kind === "segment" || mark.kind === "arrival" ? mark.event : null;
    const isPart = event !== null && (isProbe(event) || isAnswer(event)) && !mark.states && event.fate !== "lost";
    if (!isPart && !(mark.kind === "values" && (folded.length > 0 || shown > 0))) {
      close();
      shown = 0;
      kept.push(mark);
      continue;
    }
    if (mark.kind === "segment" && isProbe(mark.event)) shown++;
    if (shown > PROBES_SHOWN) folded.push(mark);
    else kept.push(mark);
  }
  close();
  return kept;
}

export const fold = (marks: Mark[]): Mark[] => foldProbes(foldRuns(marks));
