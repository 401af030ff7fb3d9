/**
 * Takes the DNS questions of local programs, and keeps the rules in step with the machine: other resolvers, other routes, another
 * DNS server on the machine, a child `nft` that was killed. See interception-rules.ts and guard.ts for what is installed.
 *
 * Three things must hold at any moment: a question that is not ours reaches the resolver that the program meant; what a local
 * resolver asks in turn does not come back to it; and when we die, nothing of it is left.
 */
import { type AddressRange, formatIpText, type I3Error, type IpEndpoint, type Log } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";
import type { NameSource } from "../dns/dns-core.js";
import { type DnsCounters, DnsPort } from "./dns-port.js";
import { localServerUids, type Resolver, type ResolverFiles, resolverText } from "./dns-upstream-resolvers.js";
import { Guard } from "./guard.js";
import { NftSession } from "./interception-nft-session.js";
import { type DnsRedirect, interceptionRules, type InterceptionState } from "./interception-rules.js";
import { HIT_RANGE, type Prefix, type SystemView } from "./system-view.js";

export interface InterceptionOptions {
  readonly io: NativeIo;
  readonly tunName: string;
  /** SO_MARK of all our sockets that reach the network. */
  readonly mark: number;
  readonly range: AddressRange;
  /** First of a row of local ports, one for each resolver. */
  readonly port: number;
  readonly names: NameSource;
  /** Whether DNS questions are redirected; the ports are open either way. @default true */
  readonly intercept?: boolean;
  /** Whom to ask instead of the system's resolvers. @default none */
  readonly upstreams?: readonly IpEndpoint[];
  /** What becomes of new connections to addresses of the range that nobody was given. */
  readonly unallocated: "auto" | "refuse" | "pass";
  /** Our own virtual addresses. */
  readonly own: readonly Uint8Array[];
  /** Addresses of restored mappings. */
  readonly allocated: readonly Uint8Array[];
  readonly resolvers: ResolverFiles;
  readonly view: SystemView;
  readonly log: Log;
  /** @default "nft" */
  readonly nftProgram?: string;
}

/** DNS servers that start on this machine are noticed this late. */
const LOOK_MS = 5_000;

export class Interception {
  readonly #options: InterceptionOptions;
  readonly #dns: DnsPort;
  readonly #guard: Guard;
  readonly #nft: NftSession;
  readonly #stop: (() => void)[] = [];
  #closed = false;
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
   * Sets the guard, opens the DNS ports, then redirects questions to them. Rejects with an I3Error that has a remedy (nft missing, no
   * permission, port in use); what it leaves behind then is at most the guard.
   */
  static async start(options: InterceptionOptions): Promise<Interception> {
    const { tunName, own, allocated, log } = options;
    const nft = new NftSession(options);
    let dns: DnsPort | undefined;
    try {
      const onError = (error: I3Error): void => log("warn", "guard-failed", { error: error.message, remedy: "It is tried again with the next change." });
      const guard = await Guard.start(nft, { tunName, own, onError }, allocated);
      dns = await DnsPort.open(options, upstreams(options));
      const interception = new Interception(options, nft, guard, dns);
      await interception.#apply();
      interception.#watch();
      return interception;
    } catch (error) {
      await dns?.close();
      await nft.close();
      throw error;
    }
  }

  /** To be told of every virtual address that is given out or taken back. */
  get guard(): Guard {
    return this.#guard;
  }

  /** Brings the rules into step with resolvers, routes and local DNS servers, in the background. */
  update(): void {
    this.#work = this.#work.then(async () => {
      try {
        if (this.#closed) return;
        await this.#dns.setResolvers(upstreams(this.#options));
        await this.#apply();
      } catch (error) {
        this.#options.log("warn", "interception-failed", { error: (error as Error).message, remedy: "It is tried again within seconds." });
      }
    });
  }

  counters(): DnsCounters {
    return this.#dns.counters();
  }

  /** The redirect goes first, so that no question is lost. The guard of addresses still given out stays. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#stop) stop();
    await this.#work;
    await this.#guard.settled().catch(() => undefined);
    await this.#nft.close();
    await this.#dns.close();
  }

  #watch(): void {
    const { resolvers, view, log } = this.#options;
    const timer = setInterval(() => this.update(), LOOK_MS).unref();
    const watch = view.watch(() => this.update());
    const unsubscribe = resolvers.subscribe(() => {
      log("info", "resolvers-changed", { resolvers: resolvers.resolvers.map(resolverText) });
      view.refresh();
      this.update();
    });
    this.#stop.push(() => clearInterval(timer), () => watch.close(), unsubscribe);
  }

  async #apply(): Promise<void> {
    const rules = interceptionRules(this.#options, this.#state());
    if (rules === this.#rules) return;
    await this.#nft.run(rules);
    this.#rules = rules;
  }

  #state(): InterceptionState {
    const { resolvers, range, intercept = true } = this.#options;
    const asked = [...resolvers.resolvers, ...chosenUpstreams(this.#options)];
    return {
      dns: intercept ? this.#redirect() : null,
      resolvers: [...new Set(asked.map(({ address }) => formatIpText(address)))],
      refuse4: this.#refuses(range),
      refuse6: this.#refuses(HIT_RANGE),
    };
  }

  #redirect(): DnsRedirect {
    const ownUid = process.getuid?.() ?? 0;
    const uids = localServerUids();
    const { port } = this.#options;
    const { ports, ipv6 } = this.#dns;
    return {
      ports: this.#options.resolvers.resolvers.map(({ address }, i) => ({ address: formatIpText(address), port: ports[i] ?? port })),
      otherPort: uids.some((uid) => uid === 0 || uid === ownUid) ? null : port,
      exemptUids: uids.sort((a, b) => a - b),
      ipv6,
    };
  }

  #refuses(range: Prefix): boolean {
    const { unallocated, view } = this.#options;
    return unallocated === "refuse" || (unallocated === "auto" && view.findOverlaps(range).length === 0);
  }
}

/** Whom to ask what comes in on each port: the chosen upstreams in turn, or else the system's resolvers. */
function upstreams(options: InterceptionOptions): readonly Resolver[] {
  const system = options.resolvers.resolvers;
  const chosen = chosenUpstreams(options);
  return chosen.length === 0 ? system : system.map((resolver, i) => chosen[i % chosen.length] ?? resolver);
}

const chosenUpstreams = ({ upstreams: chosen = [] }: InterceptionOptions): Resolver[] =>
  chosen.map(({ host, port }) => ({ address: host.bytes, port, zone: null }));
