/** The state directory, in which the journal and the pins lie: whoever may write to it could take a pin away, so that the next key that answers is trusted. */
import { accessSync, constants, lstatSync, statfsSync, statSync, type Stats } from "node:fs";
import { dirname } from "node:path";

import { I3Error, makeFolder } from "@i3/common";

const USABLE = "It must be a directory that this user may write to.";
const OTHERS_WRITE = 0o022;
/** Of statfs(2): /proc and /sys, in which nobody makes directories, whatever their modes say. */
const UNWRITABLE_TYPES: readonly number[] = [0x9fa0, 0x62656572];

/** Makes it if there is none. Throws I3Error ERR_I3_STATE. */
export function openStateDirectory(directory: string): void {
  try {
    makeFolder(directory);
  } catch (cause) {
    throw unusable(directory, { cause });
  }
  checkStateDirectory(directory);
}

/** What a start would refuse; nothing is made. Throws I3Error ERR_I3_STATE. */
export function checkStateDirectory(directory: string): void {
  try {
    check(directory);
  } catch (cause) {
    throw cause instanceof I3Error ? cause : unusable(directory, { cause });
  }
}

function check(directory: string): void {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats !== undefined) return checkThere(directory, stats);
  if (lstatSync(directory, { throwIfNoEntry: false }) !== undefined) throw unusable(directory, {}, "it is a symbolic link that leads nowhere");
  let above = dirname(directory);
  while (statSync(above, { throwIfNoEntry: false }) === undefined && dirname(above) !== above) above = dirname(above);
  checkWritable(directory, above, statSync(above));
}

function checkThere(directory: string, stats: Stats): void {
  checkWritable(directory, directory, stats);
  const mode = (stats.mode & 0o7777).toString(8);
  if ((stats.mode & OTHERS_WRITE) !== 0) {
    throw new I3Error("ERR_I3_STATE", `others may change the state directory ${directory} (mode ${mode})`, { remedy: `See whether its files are right, then run: chmod 700 ${directory}` });
  }
  const user = process.geteuid?.() ?? 0;
  if (stats.uid !== user && stats.uid !== 0) {
    throw new I3Error("ERR_I3_STATE", `the state directory ${directory} belongs to the user ${stats.uid}, who can change it`, { remedy: `See whether its files are right, then run: chown ${user} ${directory}` });
  }
}

function checkWritable(directory: string, at: string, stats: Stats): void {
  if (!stats.isDirectory()) throw unusable(directory, {}, `${at} is no directory`);
  if (UNWRITABLE_TYPES.includes(statfsSync(at).type)) throw unusable(directory, {}, `nothing can be kept in ${at}`);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(directory, { cause });
  }
}

const unusable = (directory: string, options: { readonly cause?: unknown }, why?: string): I3Error =>
  new I3Error("ERR_I3_STATE", `cannot use the state directory ${directory}${why === undefined ? "" : `: ${why}`}`, { ...options, remedy: USABLE });
