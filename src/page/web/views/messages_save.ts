// SPDX-License-Identifier: MIT
// Messages as something to take away: to the clipboard, or into a file.
import { concat, toBase64, toC, toHex, toText } from "../bytes";
import { timeOf } from "./messages_entry";
import { bytesOf } from "./messages_kept";
import type { Entry, Said } from "./messages_kept";

export type Form = "text" | "hex" | "c" | "base64";
export const forms: [Form, string][] = [["text", "Text"], ["hex", "Hex"], ["c", "C"], ["base64", "Base64"]];

export function inForm(bytes: Uint8Array, form: Form): string {
  switch (form) {
    case "text": return toText(bytes);
    case "hex": return toHex(bytes);
    case "c": return toC(bytes);
    case "base64": return toBase64(bytes);
  }
}

// Where the browser gives no clipboard to scripts, the old way: a selection, copied.
function copySelected(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "vh";
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

export function saveFile(name: string, content: BlobPart[], type: string): void {
  const url = URL.createObjectURL(new Blob(content, { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Not before the browser has begun to read it.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const isSaid = (entry: Entry): entry is Said => entry.kind === "message";

// What was kept, as a log that people and programs can read: a line about each message, then its bytes, escaped.
export function asLog(entries: Entry[], origin: number): string {
  const lines = entries.map((entry) => {
    if (!isSaid(entry)) return `# ${entry.text}`;
    const { message, bytes } = entry;
    const gone = message.bytes - bytes.length;
    return `# ${timeOf(message.t_ns, origin)} ${message.way === "in" ? "<-" : "->"} ${bytesOf(message.bytes)}`
      + `${gone > 0 ? `, the last ${gone} not kept` : ""}\n${toHex(bytes)}`;
  });
  return lines.join("\n") + "\n";
}

export interface Raw { bytes: Uint8Array; missing: number }

// What went one way, byte by byte, and how many bytes of it are not there.
export function asBytes(entries: Entry[], way: "in" | "out"): Raw {
  const all = entries.filter(isSaid).filter((said) => said.message.way === way);
  return { bytes: concat(all.map((said) => said.bytes)), missing: all.reduce((n, said) => n + said.message.bytes - said.bytes.length, 0) };
}
