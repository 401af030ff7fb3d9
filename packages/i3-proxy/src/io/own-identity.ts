/** This machine's key, and what shows that it has had one: the file beside the key, and the journal, each enough without the other. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";

import { publicId, type ProxyConfig } from "@i3/common";
import { checkOwnKey, dhKeyPair, openOwnKey, R1Pool, readHostKey, type HostIdentity, type OwnKeyOptions } from "@i3/hip";

import { journalWitness } from "./journal.js";

type IdentityConfig = Pick<ProxyConfig, "identity" | "state">;

function optionsOf({ identity, state }: IdentityConfig): OwnKeyOptions {
  const journal = journalWitness(state.directory);
  return { ...identity, witnesses: journal === null ? [] : [journal], advice: ", and change its HIT in all address books" };
}

/** Reads the key, or makes one at the first start; `created` says which. Throws I3Error ERR_I3_KEY_FILE. */
export const openIdentity = (config: IdentityConfig): { readonly identity: HostIdentity; readonly created: boolean } => openOwnKey(optionsOf(config));

/** The same checks, and nothing is made. */
export const checkIdentity = (config: IdentityConfig): void => checkOwnKey(optionsOf(config));

/** For `--check`: what a start refuses that speaks HIP. Throws I3Error ERR_I3_HIP_IDENTITY when the key is too long for i3; a key that is not there yet is not. */
export function checkHipIdentity({ identity: { keyFile, algorithm }, rules, hip, publishedNames }: ProxyConfig): void {
  const speaksHip = hip !== undefined || publishedNames.length > 0 || rules.some((rule) => rule.go === "i3" && rule.security !== "none");
  if (!speaksHip || !existsSync(keyFile)) return;
  const identity = readHostKey(keyFile, algorithm);
  new R1Pool({ identity, ownPublicId: publicId(identity.hit), random: (bytes) => randomBytes(bytes), dhSource: (group) => dhKeyPair(group, randomBytes), r1Generation: 1n }, 0);
}
