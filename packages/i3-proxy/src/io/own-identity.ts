/** This machine's key, and what shows that it has had one: the file beside the key, and the journal, each enough without the other. */
import type { ProxyConfig } from "@i3/common";
import { checkOwnKey, openOwnKey, type HostIdentity, type OwnKeyOptions } from "@i3/hip";

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
