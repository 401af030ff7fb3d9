/** `i3-proxy zone …`: makes the key of a zone of names, and signs which host a name stands for (docs/policy.md, "Zones"). */
import { commandUsage, formatIpText, HexFieldsProblem, isKnownHit, parseIpText, PrivateFiles, readKeyCommand, RECORD_KIND, toHex, type SignedRecord } from "@i3/common";
import { generateTriggerKey, signRecord, type TriggerKey } from "@i3/hip";
import { nextSequence, readRecordFile, recordEndText, RecordProblem, replacePublicly } from "@i3/i3-client";

import { nameRecordFromText, nameRecordToText, zoneLabel } from "../zones/name-record.js";
import { zoneKeyFromText, zoneKeyToText } from "../zones/zone-key.js";

const DAY_S = 86_400;
/** A name is used for longer than a list of servers; its proxy says so long before its end. */
const DEFAULT_DAYS = 365;
const USAGE = "neither zone make FILE nor zone sign KEY_FILE NAME HIT OUT_FILE [--days N]";
const MAKE = "Name the file that i3-proxy zone make has made; when it is lost, restore it from a backup.";
const OVERWRITE = "It would be overwritten: name another file, or move it away.";

const files = new PrivateFiles("ERR_I3_ZONE");

/** What is to be printed. Throws I3Error: ERR_I3_USAGE or ERR_I3_ZONE. `wallMs`: ms since 1970. */
export function zoneCommand(args: readonly string[], wallMs: number): string {
  const { positionals: [what, file, ...more], days } = readKeyCommand("i3-proxy", args);
  const [name, hit, outFile] = more;
  if (what === "make" && file !== undefined && more.length === 0 && days === undefined) return make(file);
  if (what !== "sign" || file === undefined || name === undefined || hit === undefined || outFile === undefined || more.length > 3) throw commandUsage("i3-proxy", USAGE);
  return sign(file, { name, hit, outFile, wallMs, days: days ?? DEFAULT_DAYS });
}

function make(file: string): string {
  const key = generateTriggerKey();
  files.writeNew(file, zoneKeyToText(key));
  return `${file}: the key of a new zone, ${toHex(key.publicKey)}
Whoever has this file says which hosts the zone's names stand for: keep it where no proxy is, and keep a backup.
In the configurations of those who shall use its names: <zones><zone suffix="NAME.i3" key="${toHex(key.publicKey)}"/></zones>
For each host: i3-proxy zone sign ${file} NAME HIT OUT_FILE
`;
}

interface Signing {
  readonly name: string;
  readonly hit: string;
  readonly outFile: string;
  readonly wallMs: number;
  readonly days: number;
}

function sign(keyFile: string, { name, hit: hitText, outFile, wallMs, days }: Signing): string {
  const label = zoneLabel(name);
  if (label === undefined) throw commandUsage("i3-proxy", `${JSON.stringify(name)} is no name within a zone, such as "nas" or "nas.office" (letters, digits and hyphens; at most 63 characters, without the zone's suffix)`);
  const hit = parseIpText(hitText);
  if (hit === undefined || !isKnownHit(hit)) throw commandUsage("i3-proxy", `${JSON.stringify(hitText)} is no host identity tag, such as i3-proxy --identity prints`);
  const key = readKey(keyFile);
  const old = readOld(outFile, key, label);
  const record = signRecord(key, { kind: RECORD_KIND.name, label, sequence: nextSequence(old, wallMs), notAfterS: Math.floor(wallMs / 1_000) + days * DAY_S, value: hit });
  try {
    replacePublicly(outFile, nameRecordToText(record));
  } catch (cause) {
    throw files.error(`cannot write ${outFile}`, "Check that its folder is there, and its permissions.", cause);
  }
  return `${outFile}: ${label} of the zone ${toHex(key.publicKey)} is ${formatIpText(hit)}, until ${recordEndText(record)}
Bring it to the machine that has the name, or another that is always on; nothing in it is secret. In its configuration:
<zones><zone suffix="NAME.i3" key="${toHex(key.publicKey)}"><record file="…"/></zone></zones>
`;
}

function readKey(file: string): TriggerKey {
  try {
    return zoneKeyFromText(files.read(file, "the key of a zone", MAKE));
  } catch (cause) {
    if (cause instanceof HexFieldsProblem) throw files.error(`${file} ${cause.message}`, MAKE, cause.cause);
    throw cause;
  }
}

/** The record that is to be replaced, if there is one: of this name, and of nothing else. */
function readOld(outFile: string, key: TriggerKey, label: string): SignedRecord | undefined {
  try {
    const text = readRecordFile(outFile);
    const old = text === undefined ? undefined : nameRecordFromText(text, key.publicKey);
    if (old !== undefined && old.label !== label) throw new RecordProblem(`is about the name "${old.label}"`);
    return old;
  } catch (cause) {
    if (cause instanceof RecordProblem) throw files.error(`${outFile} ${cause.message}`, OVERWRITE, cause);
    throw cause;
  }
}
