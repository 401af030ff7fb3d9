/** The test bed: named topologies in Linux network namespaces. See README.md. */
export { Child, type ChildEnd, type Line, type SpawnOptions } from "./child.js";
export { EmulatedPath, type PathStats, type PollResult } from "./emulator-core.js";
export type { Direction, DirectionStats, StatsResult } from "./emulator-messages.js";
export { NetnsError, type NetnsErrorCode } from "./errors.js";
export { PLAIN_WIRE, type FullImpairment, type Impairment } from "./impairment.js";
export { behaviourOf, DEPENDENCES, NAT_KINDS, type Behaviour, type Dependence, type NatKind } from "./nat/kinds.js";
export { Nat, type NatOptions } from "./nat/nat.js";
export { missingPortMapping } from "./nat/port-mapping.js";
export type { Egress } from "./nat/rules.js";
export { rewriteAddresses, type AddressRewrite } from "./payload-rewrite.js";
export { Host, NetNode, Router, type AddressOrder, type Interface } from "./node.js";
export { type RunOptions, type RunResult } from "./run.js";
export { Lan, Link, Segment, type LanOptions, type LinkOptions, type SegmentOptions, type WanOptions } from "./segment.js";
export { SeededRandom } from "./seeded-random.js";
export { standardTopology, type StandardOptions, type StandardTopology } from "./standard-topology.js";
export { Topology, type HostOptions, type TopologyOptions } from "./topology.js";
