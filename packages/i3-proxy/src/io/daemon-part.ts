/** What another daemon adds to a whole proxy: a gateway's DNS server and NAT, relays. It lives beside the proxy, in the same process, and is asked before and after it. */
import type { AddressBook, Log, ProxyConfig } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import type { NativeIo } from "@i3/datapath/native-io";

import type { NameSource } from "../dns/dns-core.js";
import type { Proxy } from "../proxy.js";
import type { Resolver } from "./dns-upstream-resolvers.js";
import type { SystemView } from "./system-view.js";

/** The proxy that a part is of. */
export interface PartHost<Config extends ProxyConfig> {
  readonly config: Config;
  readonly book: AddressBook;
  readonly log: Log;
  readonly io: NativeIo;
  readonly tun: { readonly name: string; readonly index: number };
  /** SO_MARK of what goes past the TUN and the redirect of DNS. */
  readonly mark: number;
  readonly datapath: Datapath;
  /** Its mappings are those of the last run already, and its addresses are on the TUN. */
  readonly proxy: Proxy;
  readonly view: SystemView;
  /** Asking makes the mapping and its route, as for a program's question. */
  readonly names: NameSource;
  /** Those of the system, or of the configuration; at least one. */
  readonly resolvers: () => readonly Resolver[];
  /** Calls the core, then sends what it left in the engine and sets its clock. Nothing happens once the proxy has ended. */
  readonly run: (work: (proxy: Proxy, nowMs: number) => void) => void;
}

export interface OpenPart<Config extends ProxyConfig> {
  /** For the READY line: `key=value …`. */
  readonly ready: string;
  /** For the line `counters`. */
  readonly counters: () => object;
  /** A new configuration file. What of it acts at once is the part's to say: true when all of it does. */
  readonly setConfig: (config: Config) => boolean;
  readonly setBook: (book: AddressBook) => void;
  /** Virtual addresses that a peer has been given; its mapping is in the table, its flows are not there yet. */
  readonly allocated: (addresses: readonly Uint8Array[]) => void;
  /** Virtual addresses that a peer had. */
  readonly released: (addresses: readonly Uint8Array[]) => void;
  /** The daemon shall end: resolves when what others have begun is over, soon. Until then the proxy goes on as ever, and peers hear nothing. */
  readonly drain?: () => Promise<void>;
  /** The proxy goes. */
  readonly close: () => Promise<void>;
}

export interface DaemonPart<Config extends ProxyConfig> {
  /** Names of the configuration's elements that are the part's: changes of them are told to it alone. */
  readonly elements: readonly (keyof Config)[];
  /** Null: the configuration asks for nothing of it. Rejects with I3Error for what a person must mend. */
  readonly open: (host: PartHost<Config>) => Promise<OpenPart<Config> | null>;
}
