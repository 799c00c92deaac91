// SPDX-License-Identifier: MIT
// Elements, made by hand. There is no innerHTML on this page: what peers send is text, and stays text.

type Child = Node | string | number | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

function fill(element: Element, attributes: Attributes | null, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children)
    if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
}

// el("button", {type: "button", click: kick}, "Kick"): attributes, and listeners by their event's name.
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes | null = null, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K, attributes: Attributes | null = null, ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

// Text that changes often: the node is touched only when it differs.
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

const counts = new Intl.NumberFormat("en-US");
export function count(n: number): string {
  // Most are small, and Intl is slow.
  return n >= 0 && n < 1000 && Number.isInteger(n) ? String(n) : counts.format(n);
}

// "5.08 ms", "212 ms", "60.1 s", "2 m 10 s": three digits, as sonde writes durations.
export function duration(ns: number): string {
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "us"]];
  if (ns >= 120e9) return `${Math.floor(ns / 60e9)} m ${Math.floor((ns % 60e9) / 1e9)} s`;
  for (const [size, unit] of units)
    if (ns >= size) return `${Number((ns / size).toPrecision(3))} ${unit}`;
  return `${Math.round(ns)} ns`;
}
