// SPDX-License-Identifier: MIT
// The ladder as a file: with its own style, so that it needs nothing but itself.
import { svg } from "../dom";
import { markers } from "./ladder_draw";
import { pieceNodes } from "./ladder_draw";
import { line, text, type Item, type Picture } from "./ladder_shapes";
import { cells, plain } from "./ladder_text";

// Two sets of colours; plain ones, since not every viewer knows custom properties.
interface Colors { bg: string; ink: string; mute: string; hair: string; states: string[]; bands: string[]; trouble: string; kern: string; esc: string }
const light: Colors = { bg: "#fff", ink: "#1b1f24", mute: "#57606a", hair: "#d0d7de", states: ["#7a5000", "#0b4f96", "#6b2f83", "#4b545e"],
  bands: ["#f5dca6", "#bcd8f5", "#e3c6f0", "#d3d9e0"], trouble: "#a8211a", kern: "#1f6165", esc: "#6b2f83" };
const dark: Colors = { bg: "#0f1318", ink: "#e6e9ed", mute: "#9aa4b0", hair: "#333b45", states: ["#f0c060", "#8cc3fa", "#d9aef0", "#b4bdc7"],
  bands: ["#5a420f", "#1c4470", "#4f2e60", "#333c48"], trouble: "#ff9384", kern: "#78cacc", esc: "#d9aef0" };
const classes = ["half", "open", "shut", "wait"];

const colorRules = (c: Colors): string => [
  `.bg{fill:${c.bg}}text,.head-ink{fill:${c.ink}}.mute{fill:${c.mute}}.k{fill:${c.kern}}`,
  `.tr,.head-red,.seg.red .lb,.seg.zero .lb{fill:${c.trouble}}.esc{fill:${c.esc}}`,
  ...classes.map((name, i) => `.st-${name}{fill:${c.states[i]}}.band-${name}{fill:${c.bands[i]}}`),
  `.ln,.call{stroke:${c.ink}}.seg.red .ln,.cross,.link,.lost{stroke:${c.trouble}}.kl{stroke:${c.kern}}`,
  `.hair{stroke:${c.hair}}.life{stroke:${c.mute}}.halo{stroke:${c.bg}}`,
].join("\n");

const style = `.mono{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:11px}
.small{font-size:10.5px}.end{text-anchor:end}.mid{text-anchor:middle}.b{font-weight:650}.h{font-size:14px;font-weight:600}
.st-half,.st-open,.st-shut,.st-wait,.st-none{font:600 10.5px ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.ln{stroke-width:1.2;fill:none}.seg.tail .ln{stroke-width:.8}.hit{stroke:none;fill:none}.cross,.lost{stroke-width:1.8;fill:none}.call{stroke-width:1.4;fill:none}
.link{stroke-width:1;fill:none;stroke-dasharray:1.5 3}.dot{stroke-dasharray:1 4}.kl{stroke-width:1.4;fill:none}
.halo{paint-order:stroke;stroke-width:3.5px;stroke-linejoin:round}
${colorRules(light)}
@media (prefers-color-scheme:dark){
${colorRules(dark)}
}
`;

function group(item: Item): SVGGElement {
  return svg("g", { transform: `translate(0,${item.y})`, class: item.cls ?? null }, ...item.shapes.map((shape) =>
    svg(shape.tag, shape.attributes, ...(shape.pieces ? pieceNodes(shape.pieces) : []))));
}

function wrapped(words: string, room: number): string[] {
  const rows: string[] = [];
  for (const word of words.split(" ")) {
    const last = rows[rows.length - 1];
    if (last !== undefined && cells(last) + cells(word) < room) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows;
}

const MARGIN = 20, HEAD = 74;

// The sentences stand below, as text: already escaped.
export function pictureFile(picture: Picture, title: string, sentences: string[]): string {
  const rows = sentences.flatMap((sentence) => wrapped(sentence, Math.floor(picture.width / 6.3)));
  const width = picture.width + 2 * MARGIN, height = HEAD + picture.height + 24 + rows.length * 18 + MARGIN;
  const below = HEAD + picture.height + 12;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "t d", "font-size": 12,
    "font-family": "ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif" },
    svg("title", { id: "t" }, title), svg("desc", { id: "d" }, sentences.join(" ") || picture.words), markers(),
    svg("rect", { class: "bg", width, height }),
    svg("text", { class: "h", x: MARGIN, y: 26 }, title),
    svg("g", { transform: `translate(${MARGIN},38)` }, ...picture.head.map(group)),
    svg("g", { transform: `translate(${MARGIN},${HEAD})` }, ...picture.items.map(group)),
    group({ key: "", y: 0, shapes: [line("hair", MARGIN, below, width - MARGIN, below),
      ...rows.map((row, i) => text("", MARGIN, below + 22 + i * 18, plain(row)))] }));
  const file = new XMLSerializer().serializeToString(root);
  return file.replace("</desc>", `</desc><style>${style}</style>`);
}

export function download(name: string, file: string): void {
  const url = URL.createObjectURL(new Blob([file], { type: "image/svg+xml" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => { URL.revokeObjectURL(url); }, 10000);
}
