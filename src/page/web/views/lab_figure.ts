// SPDX-License-Identifier: MIT
// A picture that sonde drew. It is loaded as an image, so that nothing in it can act; larger in a dialog; as text for
// those who do not see it.
import { el } from "../dom";

export interface Picture { svg: string; caption: string | null; name: string; text: string | null }

// A script finds no size in an SVG that has a viewBox alone: without one, an image is as wide as it may be.
function sizeOf(svg: string): { width: number; height: number } | null {
  const found = /viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"/.exec(svg.slice(0, 2000));
  return found ? { width: Math.round(Number(found[1])), height: Math.round(Number(found[2])) } : null;
}

function enlarge(url: string, name: string, size: { width: number; height: number } | null): void {
  const image = el("img", { src: url, alt: name });
  let zoom = 0;   // 0: as wide as the window
  const at = el("output", { class: "mute" });
  const show = (to: number): void => {
    zoom = Math.max(0, Math.min(6, to));
    image.style.width = zoom && size ? `${Math.round(size.width * (0.75 + zoom * 0.5))}px` : "";
    at.textContent = zoom && size ? `${Math.round((0.75 + zoom * 0.5) * 100)} %` : "fits";
  };
  const dialog = el("dialog", { class: "picture", "aria-label": name },
    el("div", { class: "bar" }, el("b", null, name), el("span", { class: "row" }, at,
      el("button", { type: "button", "aria-label": "zoom out", click: () => show(zoom - 1) }, "−"),
      el("button", { type: "button", "aria-label": "zoom in", click: () => show(zoom + 1) }, "+"),
      el("button", { type: "button", click: () => dialog.close() }, "Close"))),
    el("div", { class: "canvas", tabindex: 0, role: "group", "aria-label": "picture" }, image));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") show(zoom + 1);
    else if (event.key === "-") show(zoom - 1);
    event.stopPropagation();
  });
  document.body.append(dialog);
  dialog.showModal();
  show(0);
}

export function figure(picture: Picture, given: (url: string) => void): HTMLElement {
  const url = URL.createObjectURL(new Blob([picture.svg], { type: "image/svg+xml" }));
  given(url);
  const size = sizeOf(picture.svg);
  const image = el("img", { src: url, alt: picture.name, width: size?.width, height: size?.height });
  return el("figure", null,
    el("button", { type: "button", class: "zoom", "aria-label": `${picture.name}: larger`, click: () => enlarge(url, picture.name, size) }, image),
    picture.caption && el("figcaption", null, picture.caption),
    picture.text !== null && el("details", null, el("summary", null, "As text"), el("pre", { class: "mono box", tabindex: 0 }, picture.text)));
}
