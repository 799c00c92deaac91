// SPDX-License-Identifier: MIT
// A packet's fields, as `sonde trace --layers --json` has them, by layer. Pure.
import { fromBase64, hexByte } from "../bytes";

export interface Field { offset: number; bytes: number; name: string; value: string; remark: string }
export interface Layer { name: string; offset: number; bytes: number; remark: string; fields: Field[]; hex: Uint8Array | null }
export interface Opened { bytes: number; captured: number; layers: Layer[]; tooLong: boolean }

const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
const words = (value: unknown): string => (typeof value === "string" ? value : "");

function dataOf(packet: Record<string, unknown>): Uint8Array | null {
  if (typeof packet.data !== "string") return null;
  try {
    return fromBase64(packet.data);
  } catch {
    return null;
  }
}

// A field without a name is where a layer begins; those behind it are in it.
export function openPacket(packet: Record<string, unknown>): Opened {
  const data = dataOf(packet), layers: Layer[] = [];
  for (const each of Array.isArray(packet.fields) ? packet.fields as unknown[] : []) {
    if (typeof each !== "object" || each === null) continue;
    const field = each as Record<string, unknown>, offset = number(field.offset), bytes = number(field.bytes);
    const last = layers[layers.length - 1], layer = words(field.layer), isHead = field.name === undefined;
    if (isHead || last?.name !== layer) {
      const end = Math.min(offset + bytes, data?.length ?? 0);
      layers.push({ name: layer, offset, bytes, remark: isHead ? words(field.remark) : "", fields: [],
        hex: data && offset < end ? data.subarray(offset, end) : null });
    }
    if (!isHead)
      layers[layers.length - 1]!.fields.push({ offset, bytes, name: words(field.name), value: words(field.value), remark: words(field.remark) });
  }
  return { bytes: number(packet.bytes), captured: number(packet.captured), layers, tooLong: packet.too_long === true };
}

export const range = (offset: number, bytes: number): string => (bytes > 1 ? `${offset}–${offset + bytes - 1}` : String(offset));

// The few values by which a layer is told from another of its kind.
const telling: Record<string, string[]> = {
  Ethernet: ["source", "destination"], IPv4: ["source", "destination"], IPv6: ["source", "destination"],
  TCP: ["source port", "destination port"], UDP: ["source port", "destination port"],
};

export function summaryOf(layer: Layer): string {
  const value = (name: string): string => layer.fields.find((field) => field.name === name)?.value ?? "";
  const [from, to] = (telling[layer.name] ?? []).map(value), parts: string[] = [];
  if (from && to) parts.push(`${from} → ${to}`);
  if (layer.name === "TCP" && value("flags")) parts.push(value("flags"));
  if (parts.length === 0 && layer.remark) parts.push(layer.remark);
  return parts.join(", ");
}

export interface HexRow { offset: number; bytes: { at: number; hex: string }[]; ascii: string }

// Rows of 8, so that they fit beside the ladder.
export function hexRows(layer: Layer, perRow = 8): HexRow[] {
  const rows: HexRow[] = [], bytes = layer.hex ?? new Uint8Array(0);
  for (let from = 0; from < bytes.length; from += perRow) {
    const part = bytes.subarray(from, from + perRow);
    rows.push({ offset: layer.offset + from, bytes: Array.from(part, (byte, i) => ({ at: layer.offset + from + i, hex: hexByte(byte) })),
      ascii: Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("") });
  }
  return rows;
}
