/**
 * net.ipv4.conf.all.src_valid_mark: reverse path filtering looks for the way back of a packet with its mark (ip-sysctl). Without it rp_filter=1 drops the answers to what is sent past the TUN. What it was
 * before is in the state directory until it is that again.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { I3Error } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";

import { readStateFile } from "./state-file.js";

const SETTING = "/proc/sys/net/ipv4/conf/all/src_valid_mark";

const fileOf = (stateDirectory: string): string => join(stateDirectory, "src-valid-mark");

/** Throws I3Error. */
export function setSourceMark(stateDirectory: string): void {
  if (read() !== "0") return;
  replaceDurably(fileOf(stateDirectory), "0\n");
  write("1");
}

/** As it was before; nothing when it was not changed. Throws I3Error. */
export function restoreSourceMark(stateDirectory: string): void {
  const file = fileOf(stateDirectory);
  if (readStateFile(file, "what src_valid_mark was") === null) return;
  write("0");
  rmSync(file, { force: true });
}

/** Null: the system has no IPv4. */
function read(): string | null {
  try {
    return readFileSync(SETTING, "utf8").trim();
  } catch {
    return null;
  }
}

function write(value: string): void {
  try {
    writeFileSync(SETTING, value);
  } catch (cause) {
    throw new I3Error("ERR_I3_SYSCTL", `cannot write ${value} to ${SETTING}`, { cause, remedy: "A rule by address needs it where rp_filter is 1: run i3-proxy as root, where /proc/sys may be written." });
  }
}
