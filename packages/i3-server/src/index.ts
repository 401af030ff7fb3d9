/** The i3 server: ring, triggers, and the core that joins them to the packet engine. The daemon is main.ts. */
export * from "./chord/chord.js";
export * from "./counters.js";
export * from "./server/server-core.js";
export { TriggerCore, type TriggerCoreInit } from "./triggers/trigger-core.js";
export { RecordCore, type RecordCoreInit } from "./records/record-core.js";
export type { RecordLimits } from "./records/record-store.js";
export type { TriggerLimits } from "./triggers/trigger-table.js";
export { admitServer, isSigned, issueCredential, readCredential, type Credential, type RingMembership } from "./ring/credential.js";
export { Channel, type ChannelInit } from "./ring/channel.js";
export { credentialChecks, type CredentialChecks, type Direction, type RingMac } from "./ring/ring-message.js";
export { FallbackCore, type FallbackConnection, type FallbackCounters, type FallbackInit } from "./fallback/fallback-core.js";
