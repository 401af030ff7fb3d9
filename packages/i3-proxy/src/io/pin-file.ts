/** Pinned host keys on disk: `pins` in the state directory, mode 0600, written whole or not at all. What it holds: policy/pins.ts. */
import { join } from "node:path";

import { I3Error } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";

import { Pins, pinsFromText, pinsToText } from "../policy/pins.js";
import { readStateFile } from "./state-file.js";

export const pinFileOf = (stateDirectory: string): string => join(stateDirectory, "pins");

/**
 * Reads the pins; a missing file is none. Throws I3Error ERR_I3_STATE for a file that is damaged or that others may change or read: it is never
 * replaced by an empty one, which would trust whoever answers next.
 */
export function readPins(file: string): Pins {
  const text = readStateFile(file, "the pinned host keys");
  return text === null ? new Pins() : pinsFromText(text, file);
}

/** Throws I3Error ERR_I3_STATE; the file is then as it was. */
export function writePins(file: string, pins: Pins): void {
  try {
    replaceDurably(file, pinsToText(pins));
  } catch (cause) {
    throw new I3Error("ERR_I3_STATE", `cannot write the pinned host keys ${file}`, { cause, remedy: "Is the disk full? Until it can be written, keys that are new are forgotten at a restart." });
  }
}
