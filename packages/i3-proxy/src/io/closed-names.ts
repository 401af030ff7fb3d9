/**
 * Where rules have anonymous names without an ending of their own (docs/anonymity.md), questions that do not come to the proxy are refused: while it is starting, and when it is dead and the
 * redirect with it, those names would be asked, and then reached, in the ordinary way. The table stays when the proxy dies; a stop removes it.
 *
 *     names   behind the redirect: to port 53, from others than the proxy and the machine's own resolvers, of which the proxy alone asks
 */
import { errorLine, type Log } from "@i3/common";

import { localServerUids } from "./dns-upstream-resolvers.js";
import { removeTable, replaceTable, tableName, type NftRunner } from "./interception-nft.js";

const PRIORITY = 61;
/** Somebody may have cleared all tables, and resolvers start and end. */
const LOOK_MS = 5_000;
const REMEDY = "It is tried again within seconds. Until then names with go=\"anonymous\" may be asked in the ordinary way if this proxy ends.";

const closedTable = (tunName: string): string => tableName("names", tunName);

/** One line for nft. @param uids of resolvers of this machine that nobody else's programs run under @param hasPort53 the proxy's own port is 53, to which questions are led */
export const closedNamesRules = (tunName: string, tuns: string, mark: number, uids: readonly number[], hasPort53: boolean): string =>
  replaceTable(closedTable(tunName), [
    `chain names { type filter hook output priority ${PRIORITY}; policy accept; meta mark ${mark} accept; oifname "${tunName}" accept; oifname "${tuns}*" accept; ${uids.length === 0 ? "" : `meta skuid { ${uids.join(", ")} } accept;`} ${hasPort53 ? "ip daddr 127.0.0.1 accept; ip6 daddr ::1 accept;" : ""}`,
    "tcp dport 53 counter reject with tcp reset; udp dport 53 counter reject with icmpx admin-prohibited; };",
  ].join(" "));

export const openNamesRules = (tunName: string): string => removeTable(closedTable(tunName));

export interface ClosedNamesOptions {
  readonly nft: NftRunner;
  readonly tunName: string;
  /** What the names of anonymous names' TUNs begin with. */
  readonly tuns: string;
  /** SO_MARK of the proxy's own questions. */
  readonly mark: number;
  /** The proxy's DNS port is 53. */
  readonly hasPort53: boolean;
  readonly log: Log;
}

export class ClosedNames {
  readonly #options: ClosedNamesOptions;
  #timer: NodeJS.Timeout | undefined;
  #isWanted = false;
  /** "": there is none; null: what an earlier run has left, if any. */
  #table: string | null = null;
  #work: Promise<void> = Promise.resolve();

  constructor(options: ClosedNamesOptions) {
    this.#options = options;
  }

  /** Takes over, or removes, what an earlier run has left. Rejects with I3Error. */
  async open(isWanted: boolean): Promise<void> {
    this.#isWanted = isWanted;
    await this.#set();
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Other rules: in the background. */
  want(isWanted: boolean): void {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    this.#look();
  }

  /** @param isStop as somebody wanted; otherwise what is closed stays so */
  async close(isStop: boolean): Promise<void> {
    clearInterval(this.#timer);
    await this.#work;
    this.#isWanted &&= !isStop;
    if (!this.#isWanted) await this.#set().catch(() => undefined);
  }

  #look(): void {
    this.#work = this.#work.then(() => this.#set()).catch((error: unknown) => this.#options.log("error", "names-open", { error: errorLine(error), remedy: REMEDY }));
  }

  async #set(): Promise<void> {
    const { nft, tunName, tuns, mark, hasPort53 } = this.#options;
    if (!this.#isWanted) {
      if (this.#table !== "") await nft.run(openNamesRules(tunName));
      this.#table = "";
      return;
    }
    const own = process.getuid?.() ?? 0;
    const table = closedNamesRules(tunName, tuns, mark, localServerUids().filter((uid) => uid !== 0 && uid !== own).sort((a, b) => a - b), hasPort53);
    const isThere = table === this.#table && (await nft.run(`list chain inet ${closedTable(tunName)} names`).then(() => true, () => false));
    if (!isThere) await nft.run(table);
    this.#table = table;
  }
}
