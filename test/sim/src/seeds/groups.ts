/** Groups of a run: their keys, ids and members' certificates, each of which is made once a process. */
import { bytesKey, groupId } from "@i3/common";
import { certifyMember, triggerKeyFromSeed, type TriggerKey } from "@i3/hip";

import { Draw } from "./draw.js";

/** Groups, and of each so many ids. */
const GROUPS = 2;
const SUFFIXES = 3;
/** 2100-01-01, s since 1970: no clock that is wrong by an hour is there. */
export const FAR_S = 4_102_444_800;

export interface GroupId {
  readonly group: number;
  readonly id: Uint8Array;
}

const keys: TriggerKey[] = [];
const certificates = new Map<string, Uint8Array>();

export const groupKey = (group: number): TriggerKey => (keys[group] ??= triggerKeyFromSeed(new Draw(`group key ${group}`).bytes(32)));

export function certificateOf(group: number, member: TriggerKey): Uint8Array {
  const name = `${group} ${bytesKey(member.publicKey)}`;
  let certificate = certificates.get(name);
  if (certificate === undefined) certificates.set(name, (certificate = certifyMember(groupKey(group), member.publicKey, FAR_S)));
  return certificate;
}

export function drawGroupId(draw: Draw): GroupId {
  const group = draw.below(GROUPS);
  const suffix = new Uint8Array(16);
  suffix[0] = draw.below(SUFFIXES);
  return { group, id: groupId(groupKey(group).publicKey, suffix) };
}
