/** What the encrypted set-up needs of its proxy. */
import type { AddressRange, HipAddress, HipConfig, Log, Security } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import type { DhSource, HostIdentity } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

import type { MappingTable } from "../mappings/mapping-table.js";
import type { Mapping } from "../mappings/mapping.js";
import type { OwnLocators } from "../paths/own-locators.js";
import type { NameTrust } from "../policy/name-trust.js";
import type { PeerPolicy } from "../policy/policy.js";
import type { FlowWays } from "./flow-ways.js";
import type { MappingLog } from "./mapping-log.js";
import type { ReturnIds } from "./return-ids.js";
import type { RingReach } from "./ring-reach.js";
import type { UnreachableLog } from "./unreachable.js";

export interface HipSetupEnvironment {
  readonly identity: HostIdentity;
  readonly ownId: Uint8Array;
  readonly own4: Uint8Array;
  readonly datapath: Datapath;
  readonly client: I3Client;
  readonly mappings: MappingTable;
  readonly flows: FlowWays;
  readonly returnIds: ReturnIds;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly dhSource: DhSource;
  readonly wallMs: () => number;
  /** Name of a peer in the address book; null for a stranger. */
  readonly nameOf: (hit: Uint8Array) => string | null;
  /** What the rules want for a peer; strangers: null. */
  readonly policyOf: (name: string | null) => PeerPolicy;
  readonly ownTriggerFor: (name: string | null) => boolean;
  readonly onOwnTrigger: (mapping: Mapping) => void;
  /** Where a host of the address book is that is not reached over i3. */
  readonly directOf: (hit: Uint8Array) => HipAddress | null;
  /** What is open beside the main port. */
  readonly ports: HipConfig | undefined;
  /** Where this host is reached. */
  readonly own: OwnLocators;
  /** Virtual IPv4 addresses. */
  readonly range: AddressRange;
  /** Bytes: no program sends a longer packet. */
  readonly tunMtu: number;
  /** Age of the keys of packets at which new ones are made. */
  readonly rekeyAfterMs: number;
  /** Greater than the generations of all R1s of earlier runs. A clock that was set back would make peers that remember one refuse ours for 10 minutes. */
  readonly leastGeneration: bigint;
  readonly keepGeneration: (generation: bigint) => void;
  /** The access list: who may connect, and with whom nothing may begin at all. */
  readonly admits: (hit: Uint8Array) => boolean;
  readonly refuses: (peer: Pick<Mapping, "peerHit" | "peerId">) => boolean;
  /** Told whom the list has turned away; null: one who proves nothing. */
  readonly onRefused: (hit: Uint8Array | null) => void;
  /** Told that a program here calls whom an entry of the list refuses. */
  readonly onOwnRefused: (mapping: Mapping) => void;
  /** Told whose security the rules do not take, and what it asked for. */
  readonly onUnwanted: (hit: Uint8Array, asked: Security) => void;
  /** Which key a name may have. */
  readonly trust: NameTrust;
  /** Ids at which whoever calls is told our key: the public one, and those of the names that we claim. */
  readonly openIds: readonly Uint8Array[];
  /** A host has got a name, or one more: what the rules say of it holds from now on. */
  readonly onNamed: (mapping: Mapping) => void;
  /** HIP makes keys for a mapping that had none: what the plain set-up has begun with it is over. */
  readonly onKeyed: (mapping: Mapping) => void;
  /** A mapping whose addresses are not to be used any more. */
  readonly drop: (mapping: Mapping) => void;
  /** While it is silent packets that would go over i3 are refused, and what is open stays so. */
  readonly ring: Pick<RingReach, "isSilent" | "is6">;
  readonly log: Log;
  readonly mappingLog: MappingLog;
  readonly unreachableLog: UnreachableLog;
}
