// SPDX-License-Identifier: MIT
// The lab: experiments by chapter; one opened, what is claimed and asked, the reader's own answer, and what came out.
import "./lab.css";
import type { App, Create, View } from "../app";
import { count, el, setText } from "../dom";
import type { Experiment, Experiments, LabReport, ServerMessage } from "../types";
import { showReport } from "./lab_report";

const RUNNING_MOST_MS = 120_000;

const chapterName = (chapter: string): string => chapter.charAt(0).toUpperCase() + chapter.slice(1);

class LabView implements View {
  #app: App;
  #root: HTMLElement;
  #list: Experiments | null = null;
  #isAsked = false;
  #opened: Experiment | null = null;
  #running: string | null = null;
  #mine: string | null = null;                        // what this page has asked to run
  #reports = new Map<string, LabReport>();            // as long as the page
  #answers = new Map<string, string>();
  #urls: string[] = [];
  #over: ReturnType<typeof setTimeout> | undefined;
  #box: HTMLDetailsElement;
  #count = el("span", { class: "mute" });
  #state = el("p", { class: "labstate", role: "status" });
  #body = el("div", { class: "labbody" });
  #buttons: HTMLButtonElement[] = [];
  #large = el("dialog", { class: "large", "aria-label": "the experiment, large" });

  constructor(root: HTMLElement, app: App) {
    this.#root = root;
    this.#app = app;
    this.#box = el("details", { class: "labbox" }, el("summary", null, el("h2", null, "Lab"), " ", this.#count), this.#state, this.#body);
    this.#box.addEventListener("toggle", () => this.#ask());
    this.#large.addEventListener("close", () => this.#box.append(this.#state, this.#body));
    // The page's own keys are not for who reads this: p would pause, Escape would close a connection as well.
    this.#large.addEventListener("keydown", (event) => event.stopPropagation());
    root.append(this.#box);
    document.body.append(this.#large);
    root.hidden = true;
  }

  message(message: ServerMessage): void {
    if (message.kind === "welcome") {
      this.#root.hidden = !message.rights.includes("run") && message.verb !== "lab";
      if (message.verb === "lab") this.#box.open = true;
      this.#running = null;
      this.#isAsked = this.#list !== null;
      this.#ask();
      this.#say();
    } else if (message.kind === "running") this.#runs(message.name);
    else if (message.kind === "report") this.#reported(message.name, message.report);
  }

  connected(is: boolean): void {
    if (!is) this.#runs(null);
  }

  #ask(): void {
    if (!this.#box.open || this.#isAsked || !this.#app.welcome) return;
    this.#isAsked = true;
    this.#app.ask({ do: "experiments" }).then((answer) => {
      if (answer.kind === "experiments") {
        this.#list = answer;
        this.#show(null);
      } else if (answer.kind === "result") setText(this.#state, answer.error ?? "There is no lab here.");
    }).catch(() => { this.#isAsked = false; });
  }

  // ---- the list

  #show(experiment: Experiment | null): void {
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls = [];
    this.#opened = experiment;
    this.#buttons = [];
    this.#body.replaceChildren(...(experiment ? this.#experiment(experiment) : this.#chapters()));
    this.#say();
  }

  #chapters(): Node[] {
    const experiments = this.#list?.experiments ?? [];
    setText(this.#count, `${count(experiments.length)} experiments, ${count(experiments.reduce((n, { claims }) => n + claims.length, 0))} claims`);
    const chapters = [...new Set(experiments.map(({ chapter }) => chapter))];
    return [this.#list?.needs ? el("p", { class: "why" }, this.#list.needs) : el("p", { class: "mute" }, "Each makes its connections here and now, on wires of its own, measures, and says what holds. Say what you expect first."),
      el("div", { class: "chapters" }, ...chapters.map((chapter) => el("section", { class: "chapter", "aria-label": chapterName(chapter) }, el("h3", null, chapterName(chapter)),
        el("ul", null, ...experiments.filter((one) => one.chapter === chapter).map((one) => this.#entry(one))))))];
  }

  #entry(experiment: Experiment): HTMLElement {
    const report = this.#reports.get(experiment.name);
    return el("li", null, el("button", { type: "button", class: "linkish", click: () => this.#open(experiment) }, experiment.title), " ",
      el("span", { class: "mute" }, experiment.claims.map(({ id }) => id).join(" "), report && `: ${report.claims.map(({ verdict }) => verdict).join(", ")}`));
  }

  // ---- one experiment

  #open(experiment: Experiment | null): void {
    const before = this.#opened;
    this.#show(experiment);
    const list = this.#body.querySelectorAll<HTMLElement>(".linkish");
    const at = this.#list?.experiments.findIndex(({ name }) => name === before?.name) ?? -1;
    const target = experiment ? this.#body.querySelector<HTMLElement>("h3") : this.#inList(list, at);
    target?.focus();
  }

  // The list is by chapter, which is not the order in which experiments came.
  #inList(list: NodeListOf<HTMLElement>, at: number): HTMLElement | undefined {
    const title = this.#list?.experiments[at]?.title;
    return [...list].find((button) => button.textContent === title);
  }

  #neighbour(experiment: Experiment, by: number): Experiment | undefined {
    const all = this.#list?.experiments ?? [];
    return all[all.findIndex(({ name }) => name === experiment.name) + by];
  }

  #experiment(experiment: Experiment): Node[] {
    const report = this.#reports.get(experiment.name) ?? null;
    const go = (name: string, to: Experiment | null | undefined): HTMLButtonElement =>
      el("button", { type: "button", disabled: to === undefined, click: () => this.#open(to ?? null) }, name);
    const meta = [chapterName(experiment.chapter), [...experiment.claims.map(({ id }) => id), experiment.systems].filter(Boolean).join(", "),
      report ? `${(report.ms / 1000).toFixed(1)} s` : `about ${(experiment.milliseconds / 1000).toFixed(1)} s`];
    return [
      el("div", { class: "bar labnav" }, el("span", { class: "row" }, go("All experiments", null), go("← Before", this.#neighbour(experiment, -1)), go("Next →", this.#neighbour(experiment, 1))),
        el("button", { type: "button", class: "largebutton", click: () => this.#enlarge() }, this.#large.open ? "Small" : "Large")),
      el("h3", { class: "labtitle", tabindex: -1 }, experiment.title),
      el("p", { class: "mute" }, meta.join("   ·   ")),
      el("dl", { class: "report" },
        el("dt", null, "Claim"), el("dd", null, ...experiment.claims.map(({ id, claim }) => el("p", null, `“${claim}” `, el("span", { class: "mute" }, id)))),
        report ? el("dt", null, "What is done") : null, report ? el("dd", null, el("p", null, report.done)) : null,
        el("dt", null, "Question"), el("dd", null, this.#question(experiment))),
      report ? showReport(report, (url) => this.#urls.push(url)) : el("p", { class: "mute" }, ""),
    ];
  }

  #question(experiment: Experiment): HTMLElement {
    const run = el("button", { type: "submit", class: "primary" }, this.#reports.has(experiment.name) ? "Run again" : "Run");
    this.#buttons = [run];
    const answer = this.#answers.get(experiment.name) ?? "";
    const inputs = experiment.choices.map((choice) => {
      const letter = /^([a-z])\)/.exec(choice)?.[1] ?? choice;
      return el("label", { class: "choice" }, el("input", { type: "radio", name: "prediction", value: letter, checked: letter === answer }), choice);
    });
    const field = inputs.length ? el("fieldset", null, el("legend", null, experiment.question), ...inputs)
      : el("label", { class: "asked" }, el("span", null, experiment.question), el("span", { class: "row" }, "Your answer ", el("input", { name: "prediction", value: answer, maxlength: 120, autocomplete: "off", class: "ms" })));
    const form = el("form", { class: "predict" }, experiment.question ? field : null, el("div", { class: "row" }, run, el("span", { class: "mute" }, "an answer is not needed")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = new FormData(form).get("prediction");
      void this.#run(experiment, typeof given === "string" ? given.trim() : "");
    });
    return form;
  }

  // On a projector: nothing else on the screen, and letters that the last row can read.
  #enlarge(): void {
    if (this.#large.open) this.#large.close();
    else {
      this.#large.append(this.#state, this.#body);
      this.#large.showModal();
    }
    const button = this.#body.querySelector(".largebutton");
    if (button) setText(button, this.#large.open ? "Small" : "Large");
  }

  // ---- running

  async #run(experiment: Experiment, prediction: string): Promise<void> {
    if (this.#running !== null || this.#mine !== null) return;
    this.#answers.set(experiment.name, prediction);
    this.#mine = experiment.name;
    this.#runs(experiment.name);
    const answer = await this.#app.ask({ do: "run", name: experiment.name, prediction: prediction || null }).catch(() => null);
    this.#mine = null;
    if (answer?.kind === "report") return;
    this.#runs(null);
    setText(this.#state, answer?.kind === "result" ? answer.error ?? "It did not run." : "The connection to sonde was lost.");
  }

  #runs(name: string | null): void {
    clearTimeout(this.#over);
    this.#running = name;
    // Were its end never told, nothing could be run any more.
    if (name !== null) this.#over = setTimeout(() => this.#runs(null), RUNNING_MOST_MS);
    this.#say();
  }

  #reported(name: string, report: LabReport): void {
    this.#reports.set(name, report);
    this.#mine = null;
    this.#runs(null);
    if (this.#opened?.name !== name) return;
    this.#show(this.#opened);
    this.#app.say(`${report.title}: ${report.claims.map(({ verdict }) => verdict).join(", ")}`);
    const verdict = this.#body.querySelector<HTMLElement>(".labtitle");
    verdict?.focus({ preventScroll: true });
  }

  #say(): void {
    const can = this.#app.can("run");
    const title = this.#list?.experiments.find(({ name }) => name === this.#running)?.title ?? this.#running;
    setText(this.#state, this.#running === null ? (can ? "" : "This page may not run experiments.")
      : this.#mine === this.#running ? `Running: ${title} …` : `Somebody runs: ${title} …`);
    for (const button of this.#buttons) button.disabled = !can || this.#running !== null || (this.#list?.needs ?? null) !== null;
  }
}

export const create: Create = (root, app) => new LabView(root, app);
