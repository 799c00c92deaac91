// SPDX-License-Identifier: MIT
// The chosen segment, layer by layer: its fields, where they are, and the bytes. Pointing at a field, or coming to it with
// the keyboard, marks its bytes.
import type { App, Create, View } from "../app";
import { count, el } from "../dom";
import type { Row } from "../types";
import { hexRows, openPacket, range, summaryOf, type Field, type Layer, type Opened } from "./layers_text";
import { foreignText } from "./ladder_text";
import "./layers.css";

const foreign = (text: string): HTMLElement[] => foreignText(text).map((piece) => el("span", { class: piece.cls ?? null }, piece.text));

class LayersView implements View {
  private readonly title = el("h3");
  private readonly body = el("div", { class: "layers", "aria-live": "polite" });
  private segment: number | null = null;
  private row: number | null = null;
  private readonly folded = new Map<string, boolean>(); // layers as the reader left them

  constructor(root: HTMLElement, private readonly app: App) {
    root.append(this.title, this.body);
    this.nothing();
    app.onSelect((segment) => { void this.choose(segment); });
  }

  opened(row: Row | null): void {
    if (row?.id === this.row) return;
    this.row = row?.id ?? null;
    this.segment = null;
    this.nothing();
  }

  private nothing(): void {
    this.title.replaceChildren("Layers");
    this.body.replaceChildren(el("p", { class: "mute" }, "Choose a segment of the ladder to see what is in it, layer by layer."));
  }

  private async choose(segment: number | null): Promise<void> {
    this.segment = segment;
    const row = this.app.row;
    if (segment === null || !row) {
      this.nothing();
      return;
    }
    this.title.replaceChildren(`Segment ${segment}, layer by layer`);
    try {
      const answer = await this.app.ask({ do: "layers", id: row.id, segment });
      if (segment !== this.segment || row.id !== this.app.row?.id) return; // another was chosen meanwhile
      if (answer.kind === "layers") this.show(segment, openPacket(answer.packet));
      else this.sorry(answer.kind === "result" && answer.error ? answer.error : "Its packet is not kept.");
    } catch {
      if (segment === this.segment) this.sorry("The connection to sonde was lost: choose it again when it is back.");
    }
  }

  private sorry(why: string): void {
    this.body.replaceChildren(el("p", { class: "layers-why" }, why));
  }

  private show(segment: number, packet: Opened): void {
    const cut = packet.captured < packet.bytes ? `, ${count(packet.captured)} of them captured` : "";
    this.title.replaceChildren(`Segment ${segment}, layer by layer `, el("span", { class: "mute" }, `${count(packet.bytes)} bytes${cut}`));
    if (packet.tooLong || packet.layers.length === 0) {
      this.sorry(packet.tooLong ? "It has more fields than can be shown here." : "Nothing of it could be taken apart.");
      return;
    }
    const last = packet.layers.filter((layer) => layer.name === "TCP" || layer.name === "UDP").pop() ?? packet.layers[packet.layers.length - 1];
    this.body.replaceChildren(...packet.layers.map((layer) => this.layer(layer, layer === last)));
  }

  private layer(layer: Layer, isOpen: boolean): HTMLElement {
    const bytes = new Map<number, HTMLElement>();
    const hex = layer.hex ? el("div", { class: "layer-hex mono" }, ...hexRows(layer).map((row) => el("div", null,
      el("span", { class: "at mute" }, String(row.offset)),
      el("span", { class: "h8" }, ...row.bytes.map(({ at, hex: text }) => {
        const cell = el("span", null, text);
        bytes.set(at, cell);
        return cell;
      })), el("span", { class: "ascii mute", "aria-hidden": "true" }, row.ascii)))) : null;
    const details = el("details", { class: "layer", open: this.folded.get(layer.name) ?? isOpen },
      el("summary", null, el("b", null, layer.name), el("span", { class: "mute" }, `${range(layer.offset, layer.bytes)}  `, ...foreign(summaryOf(layer)))),
      layer.remark && el("p", { class: "mute layer-remark" }, layer.remark),
      el("dl", { class: "fields" }, ...layer.fields.flatMap((field) => this.field(field, bytes, layer.hex !== null))), hex);
    details.addEventListener("toggle", () => { this.folded.set(layer.name, details.open); });
    return details;
  }

  private field(field: Field, bytes: Map<number, HTMLElement>, hasHex: boolean): HTMLElement[] {
    // Rows of bytes stand below, where the bytes are.
    if (hasHex && / {2}\|.*\|$/.test(field.value)) return [];
    const mark = (is: boolean) => () => {
      for (let at = field.offset; at < field.offset + field.bytes; at++) bytes.get(at)?.classList.toggle("on", is);
    };
    const isZero = field.name === "window" && field.value === "0", isBad = /\bbad\b/.test(field.value);
    const heard = { mouseenter: mark(true), mouseleave: mark(false) };
    return [
      el("dt", heard, el("span", { class: "at mute" }, range(field.offset, field.bytes)), el("span", null, field.name)),
      el("dd", heard, field.value !== "" && el("span", { class: isZero || isBad ? "mono tr" : "mono" }, ...foreign(field.value)),
        field.remark && el("span", { class: "mute remark" }, ...foreign(field.remark))),
    ];
  }
}

export const create: Create = (root, app) => new LayersView(root, app);
