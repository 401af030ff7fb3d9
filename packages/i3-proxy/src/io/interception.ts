/**
 * Takes the DNS questions of local programs, and keeps the rules in step with the machine: other resolvers, other routes, another
 * DNS server on the machine, a child `nft` that was killed. See interception-rules.ts and guard.ts for what is installed.
 *
 * Three things must hold at any moment: a question that is not ours reaches the resolver that the program meant; what a local
 * resolver asks in turn does not come back to it; and when we die, nothing of it is left.
 */
import { formatIpText, type I3Error, type IpEndpoint, type Log, type Network, type ProxyConfig } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";
import type { NameSource } from "../dns/dns-core.js";
import { type DnsCounters, DnsPort, type DnsPortOptions } from "./dns-port.js";
import { localServerUids, type Resolver, type ResolverFiles } from "./dns-upstream-resolvers.js";
import { Guard } from "./guard.js";
import type { NftRunner } from "./interception-nft.js";
import { NftSession } from "./interception-nft-session.js";
import { type DnsRedirect, interceptionRules, type InterceptionState } from "./interception-rules.js";
import { HIT_RANGE, type Prefix, type SystemView } from "./system-view.js";

export interface InterceptionOptions {
  readonly io: NativeIo;
  readonly tunName: string;
  /** SO_MARK of all our sockets that reach the network. */
  readonly mark: number;
  readonly config: {
    readonly dns: Pick<ProxyConfig["dns"], "port" | "intercept" | "resolvers">;
    readonly virtualAddresses: ProxyConfig["virtualAddresses"];
    readonly site?: ProxyConfig["site"];
  };
  readonly names: NameSource;
  readonly gateways?: DnsPortOptions["gateways"];
  readonly anonymous?: DnsPortOptions["anonymous"];
  /** Networks behind gateways, as the rules by address have them now. @default none */
  readonly networks?: () => readonly Network[];
  /** What the names of its TUNs begin with. */
  readonly anonymousTuns?: string;
  /** Our own virtual addresses. */
  readonly own: readonly Uint8Array[];
  /** Addresses of restored mappings. */
  readonly restored: readonly Uint8Array[];
  readonly resolvers: Pick<ResolverFiles, "resolvers">;
  readonly view: Pick<SystemView, "findOverlaps">;
  readonly log: Log;
  /** @default "nft" */
  readonly nftProgram?: string;
  /** Called when nft is there, and before any port is opened: for what is to stay when the rest fails. */
  readonly beforePorts?: (nft: NftRunner) => Promise<void>;
}

/** DNS servers that start on this machine are noticed this late. */
const LOOK_MS = 5_000;

export class Interception implements NftRunner {
  readonly #options: InterceptionOptions;
  readonly #dns: DnsPort;
  readonly #guard: Guard;
  readonly #nft: NftSession;
  #timer: NodeJS.Timeout | null = null;
  /** The rules that nft has; "" when it has none of ours. */
  #rules = "";
  #work: Promise<void> = Promise.resolve();

  private constructor(options: InterceptionOptions, nft: NftSession, guard: Guard, dns: DnsPort) {
    this.#options = options;
    this.#nft = nft;
    this.#guard = guard;
    this.#dns = dns;
    nft.onRestart = () => {
      this.#rules = "";
      this.update();
      void guard.settled().catch(() => undefined);
    };
  }

  /**
   * Sets the guard and opens the DNS ports; programs notice nothing yet. Rejects with an I3Error that has a remedy (nft missing, no
   * permission, port in use); what it leaves behind then is at most the guard of restored addresses.
   */
  static async open(options: InterceptionOptions): Promise<Interception> {
    const { tunName, own, restored, log } = options;
    const nft = new NftSession(options);
    let guard: Guard | undefined;
    let dns: DnsPort | undefined;
    try {
      const onError = (error: I3Error): void => log("warn", "guard-failed", { error: error.message, remedy: "It is tried again with the next change." });
      guard = await Guard.start(nft, { tunName, own, site: options.config.site, onError }, restored);
      await options.beforePorts?.(nft);
      dns = await DnsPort.open({ ...options, port: options.config.dns.port }, upstreams(options));
      return new Interception(options, nft, guard, dns);
    } catch (error) {
      await dns?.close();
      await guard?.close().catch(() => undefined);
      await nft.close();
      throw error;
    }
  }

  /** From now on redirects DNS questions (when the configuration says so) and refuses addresses that nobody was given. Rejects with I3Error. */
  async enable(): Promise<void> {
    this.#timer ??= setInterval(() => this.update(), LOOK_MS).unref();
    await this.#apply();
  }

  /** To be called when resolvers or routes have changed: brings the rules into step, in the background. */
  update(): void {
    this.#work = this.#work.then(async () => {
      if (this.#timer === null) return;
      try {
        await this.#dns.setResolvers(upstreams(this.#options));
        await this.#apply();
        await this.#guard.look();
      } catch (error) {
        this.#options.log("warn", "interception-failed", { error: (error as Error).message, remedy: "It is tried again within seconds." });
      }
    });
  }

  /** A virtual address was given out. */
  allocated(address: Uint8Array): void {
    this.#guard.add(address);
  }

  released(address: Uint8Array): void {
    this.#guard.remove(address);
  }

  /** Resolves when the guard knows all that was given out so far. Rejects with I3Error. */
  settled(): Promise<void> {
    return this.#guard.settled();
  }

  /** Asks a gateway for a name once more, as for a program. */
  askAgain(name: string, family: 4 | 16): void {
    this.#dns.askAgain(name, family);
  }

  /** Another table beside these. Rejects with I3Error. */
  run(line: string): Promise<void> {
    return this.#nft.run(line);
  }

  /** Sends a gateway a question, as for a program. */
  callGateway(via: string): void {
    this.#dns.callGateway(via);
  }

  counters(): DnsCounters {
    return this.#dns.counters();
  }

  /** The redirect goes first, so that no question is lost. The guard of addresses still given out stays. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#work;
    await this.#guard.close().catch(() => undefined);
    await this.#nft.close();
    await this.#dns.close();
  }

  async #apply(): Promise<void> {
    const { tunName, anonymousTuns, mark, config } = this.#options;
    const rules = interceptionRules({ tunName, anonymousTuns, mark, range: config.virtualAddresses.range, networks: this.#options.networks?.() ?? [] }, this.#state());
    if (rules === this.#rules) return;
    await this.#nft.run(rules);
    this.#rules = rules;
  }

  #state(): InterceptionState {
    const { config, resolvers } = this.#options;
    const asked = [...resolvers.resolvers, ...configured(config.dns.resolvers)];
    return {
      dns: config.dns.intercept ? this.#redirect() : null,
      resolvers: [...new Set(asked.map(({ address }) => formatIpText(address)))],
      refuse4: this.#refuses(config.virtualAddresses.range),
      refuse6: this.#refuses(HIT_RANGE),
    };
  }

  #redirect(): DnsRedirect {
    const ownUid = process.getuid?.() ?? 0;
    const uids = localServerUids();
    const { port } = this.#options.config.dns;
    const { ports, ipv6 } = this.#dns;
    return {
      ports: this.#options.resolvers.resolvers.map(({ address }, i) => ({ address: formatIpText(address), port: ports[i] ?? port })),
      otherPort: uids.some((uid) => uid === 0 || uid === ownUid) ? null : port,
      exemptUids: uids.sort((a, b) => a - b),
      ipv6,
    };
  }

  #refuses(range: Prefix): boolean {
    const { config, view } = this.#options;
    const { unallocated } = config.virtualAddresses;
    return unallocated === "refuse" || (unallocated === "auto" && view.findOverlaps(range).length === 0);
  }
}

/** Whom to ask what comes in on each port: the configured resolvers in turn, or else the system's. */
function upstreams({ resolvers, config }: InterceptionOptions): readonly Resolver[] {
  const system = resolvers.resolvers;
  const chosen = configured(config.dns.resolvers);
  return chosen.length === 0 ? system : system.map((resolver, i) => chosen[i % chosen.length] ?? resolver);
}

const configured = (endpoints: readonly IpEndpoint[]): Resolver[] => endpoints.map(({ host, port }) => ({ address: host.bytes, port, zone: null }));
