// SPDX-License-Identifier: MIT
// What an experiment of the lab found, under the heads that its report has in a terminal, in the same order.
import { el } from "../dom";
import type { Evidence, LabReport } from "../types";
import { figure } from "./lab_figure";

function table(item: Extract<Evidence, { kind: "table" }>): HTMLElement {
  const isNumber = (column: number): string | null => (item.numeric[column] ? "num" : null);
  return el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": `table: ${item.heads.join(", ")}` },
    el("table", null,
      el("thead", null, el("tr", null, ...item.heads.map((head, i) => el("th", { scope: "col", class: isNumber(i) }, head || "\u00a0")))),
      el("tbody", null, ...item.rows.map((row) => el("tr", null, ...row.map((cell, i) => el("td", { class: isNumber(i) }, cell)))))));
}

function evidence(item: Evidence, given: (url: string) => void): Node {
  switch (item.kind) {
    case "paragraph": return el("p", null, item.text);
    case "footnote": return el("p", { class: "mute foot" }, item.text);
    case "layers": return el("pre", { class: "mono box", tabindex: 0 }, item.text);
    case "table": return table(item);
    case "ladder": return figure({ svg: item.svg, caption: item.caption, name: `Ladder${item.caption ? `: ${item.caption}` : ""}`, text: item.text }, given);
    case "plot": return figure({ svg: item.svg, caption: item.title, name: `Plot: ${item.title}`, text: null }, given);
  }
}

const words = { TRUE: "holds", FALSE: "fails", "IT DEPENDS": "depends", "NOT SHOWN HERE": "unknown" };

function verdicts(report: LabReport): Node[] {
  return report.claims.map((claim) => el("p", { class: "verdict" },
    el("b", { class: words[claim.verdict] }, claim.verdict), " ",
    report.claims.length > 1 && el("span", { class: "mute" }, `${claim.id}: `), claim.sentence));
}

function settings(report: LabReport): Node[] {
  if (!report.settings.length) return [el("p", null, "none matter")];
  return report.settings.map(({ name, value, machine }) => el("p", null, el("span", { class: "mono" }, name), ` ${value}`,
    machine !== null && machine !== value && el("span", { class: "mute" }, ` (${machine} on this machine)`)));
}

// `given` hears of each blob URL, to take it back when the report goes.
export function showReport(report: LabReport, given: (url: string) => void): HTMLElement {
  const part = (name: string, ...children: (Node | string | false)[]): HTMLElement[] =>
    [el("dt", null, name), el("dd", null, ...children)];
  return el("dl", { class: "report" },
    ...part("Evidence", ...report.evidence.map((item) => evidence(item, given))),
    ...part("Verdict", ...verdicts(report), report.outcome ? el("p", { class: "outcome" }, report.outcome) : false),
    ...part("Settings", ...settings(report)),
    ...part("By hand", el("pre", { class: "mono box", tabindex: 0 }, report.by_hand)),
    ...part("Read", el("p", null, report.read)));
}
