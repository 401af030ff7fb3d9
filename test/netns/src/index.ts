/** The test bed: named topologies in Linux network namespaces. See README.md. */
export { Child, type ChildEnd, type Line, type SpawnOptions } from "./child.js";
export { NetnsError, type NetnsErrorCode } from "./errors.js";
export type { NatKind } from "./nat-rules.js";
export { Host, Nat, NetNode, Router, type Interface, type NatOptions } from "./node.js";
export { type RunOptions, type RunResult } from "./run.js";
export { Lan, Link, Segment, type LanOptions, type LinkOptions } from "./segment.js";
export { standardTopology, type StandardOptions, type StandardTopology } from "./standard-topology.js";
export { Topology, type HostOptions, type TopologyOptions } from "./topology.js";
