/** What the proxy as a core is given by its owner: keys, addresses, settings, what it tells and whom it asks. */
import type { AccessConfig, AddressRule, HipConfig, Log, ProxyRule, SignedRecord, ZoneConfig } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import type { HostIdentity, TriggerKey } from "@i3/hip";
import type { RecordEvent } from "@i3/i3-client";

import type { ServerAddress } from "./gateways/server-addresses.js";
import type { MappingHooks, MappingLimits } from "./mappings/mapping-table.js";
import type { AddressSource } from "./mappings/virtual-addresses.js";
import type { Pins } from "./policy/pins.js";
import type { DetourLink } from "./setup/detour.js";

export interface ProxyEnvironment {
  readonly identity: HostIdentity;
  /** The first key of the prefix that private ids share. */
  readonly sharedKey: TriggerKey;
  /** Nearer ones of earlier runs, oldest first. */
  readonly nearerKeys: readonly TriggerKey[];
  /** Told which of these there are, before peers hear of an id of theirs. */
  readonly keepNearerKeys: (keys: readonly TriggerKey[]) => void;
  readonly datapath: Datapath;
  /** Bytes: no program sends a longer packet. */
  readonly tunMtu: number;
  readonly addresses: AddressSource;
  /** Our own virtual IPv4 address of the last run: kept if it is still free, for peers were told it. */
  readonly lastOwn4: Uint8Array | null;
  /** Greater than the generations of all R1s of earlier runs; 0 when none is known. */
  readonly leastGeneration: bigint;
  /** Told before an R1 of a new generation goes out. */
  readonly keepGeneration: (generation: bigint) => void;
  readonly limits: MappingLimits;
  readonly hooks: MappingHooks;
  readonly suffix: string;
  readonly rules: readonly ProxyRule[];
  /** @default none */
  readonly addressRules?: readonly AddressRule[];
  /** `Proxy.gateways.networks` has other ways. @default nobody sets routes */
  readonly onNetworks?: () => void;
  /** A packet is to go to the gateway of that name, as a program's would. @default none does */
  readonly onCallGateway?: (via: string) => void;
  /** Keys of names that are trusted on first use, and the file that they are kept in, for messages. */
  readonly pins: Pins;
  readonly pinFile: string;
  /** There is a new pin, to be written. */
  readonly onPinned: () => void;
  /** Names that this host claims in the ring. */
  readonly publishedNames: readonly string[];
  /** Who may connect; undefined: everybody. */
  readonly access: AccessConfig | undefined;
  /** What the engine has open for hosts without i3; undefined: the main port alone. */
  readonly hip?: HipConfig | undefined;
  /** Whether packets of hosts that no rule names may go straight. */
  readonly shortcutsToStrangers: boolean;
  /** Nobody is to learn that this host is there: it has no public id in the ring, and its private ids are at whatever server the ring gives them. @default false */
  readonly isHidden?: boolean;
  /** The engine's main UDP port. */
  readonly port: number;
  /** WebSockets to the servers that take them. @default none do */
  readonly detourLink?: DetourLink | undefined;
  /** Age of the keys of packets at which new ones are made. */
  readonly rekeyAfterMs: number;
  /** Zones of names, and what was known of their names before (`zones.records()`). @default none */
  readonly zones?: readonly ZoneConfig[];
  readonly zoneRecords?: readonly SignedRecord[];
  /** There are others of them, to be written. */
  readonly onZoneRecords?: () => void;
  /** A name is to be asked for again as by a program: servers that it stands for are in use. @default nobody asks */
  readonly onAskAgain?: (name: string, family: 4 | 16) => void;
  /** A server behind a gateway is there, or no more: to be written to the journal. @default it is not */
  readonly onServer?: (server: ServerAddress, isThere: boolean) => void;
  /** Of records of the ring that the owner keeps or looks for with `Proxy.client`. */
  readonly onRecord?: (event: RecordEvent) => void;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly wallMs: () => number;
  readonly log: Log;
}
