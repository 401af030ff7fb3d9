/** Everything that the rules of one engine share. */
import { LIMITS } from "../datapath.js";
import { InboundAssociations, OutboundAssociations } from "./association-table.js";
import { BehindTable } from "./behind-table.js";
import { CounterSet } from "./counters.js";
import { FairShares } from "./fair-shares.js";
import { FlowTable, type FlowEntry } from "./flow-table.js";
import { InboundTable } from "./inbound-table.js";
import { KnownSources } from "./known-sources.js";
import { NextServers, WaitingRoutes } from "./next-servers.js";
import { Output } from "./outputs.js";
import { QueueBudget } from "./queues.js";
import { SourceRates } from "./rate-limits.js";
import { RingRange } from "./ring-range.js";
import { Identifications } from "./translation-header.js";
import { TranslationTable } from "./translation-table.js";
import { TriggerTable } from "./trigger-table.js";
import { Upcalls } from "./upcalls.js";

export class EngineState {
  /** The time of the last step, ms. */
  nowMs = 0;
  readonly counters = new CounterSet();
  readonly tunOut = new Output(this.counters, "tunOut");
  readonly udpOut = new Output(this.counters, "udpOut");
  readonly knownSources = new KnownSources();
  readonly upcalls = new Upcalls(this.counters, this.knownSources);
  readonly budget = new QueueBudget(LIMITS.queuedBytes);
  readonly flows = new FlowTable(this.budget);
  readonly behind = new BehindTable();
  readonly translations = new TranslationTable();
  readonly identifications = new Identifications();
  readonly inbound = new InboundTable();
  readonly outboundAssociations = new OutboundAssociations();
  readonly inboundAssociations = new InboundAssociations();
  readonly triggers = new TriggerTable();
  readonly nextServers = new NextServers();
  /** Endpoints; null: none. */
  passOn: { readonly from: Uint8Array; readonly to: Uint8Array } | null = null;
  readonly waitingRoutes = new WaitingRoutes(this.budget);
  readonly copyRates = new SourceRates(LIMITS.copiesPerSourcePerSecond, LIMITS.copiesPerSourceBurst, LIMITS.sharedBuckets);
  readonly range = new RingRange();
  readonly shares = new FairShares<FlowEntry>();
}
