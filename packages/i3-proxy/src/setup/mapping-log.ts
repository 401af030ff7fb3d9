/** Which mappings begin to carry packets, and whom the access list cuts off, for people. Without I/O. */
import { formatIpText, type Log } from "@i3/common";

import type { Mapping } from "../mappings/mapping.js";
import type { AccessList } from "../policy/access-list.js";
import { FewLines } from "../policy/few-lines.js";
import { peerText } from "./unreachable.js";

export class MappingLog {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #access: () => AccessList;
  /** Strangers make new keys as they like. */
  readonly #strangers = new FewLines();

  /**
   * @param nowMs monotonic, ms
   * @param access the list as it is in use
   */
  constructor(log: Log, nowMs: () => number, access: () => AccessList) {
    this.#log = log;
    this.#nowMs = nowMs;
    this.#access = access;
  }

  /** Keys, or a plain way, stand. @param fields what else the line has */
  opened(mapping: Mapping, fields: Readonly<Record<string, unknown>>): void {
    const isShown = !mapping.isStranger || this.#strangers.take(this.#nowMs(), mapping.peerHit);
    this.#log(isShown ? "info" : "debug", "mapping-open", { ...whoIs(mapping), ...fields });
  }

  /** The access list allows it no more. */
  ended(mapping: Mapping): void {
    this.#log("warn", "access-ended", { ...whoIs(mapping), ...this.#access().reasonFor(mapping) });
  }
}

const whoIs = (mapping: Mapping): Readonly<Record<string, unknown>> => ({ peer: peerText(mapping), ...(mapping.peerHit === null ? {} : { hit: formatIpText(mapping.peerHit) }) });
