/**
 * What a native program imports: {@link connect} and what it needs beside it (README.md). And the core that daemons use: {@link I3Client}, which has
 * no socket of its own.
 */
export { connect, newGroup, type ConnectOptions, type ServerListOptions } from "./io/connect.js";
export { I3Connection, type ConnectionCounters, type ConnectionEvents, type InsertOptions, type JoinOptions, type KnownServer } from "./io/connection.js";
export { ClientError, type ClientErrorCode } from "./errors.js";
export { maxPayloadBytes, readHex as fromHex, type Id, type Payload } from "./program/arguments.js";
export { Group, MAX_PREFERENCE_BYTES, type Preference } from "./program/group.js";
export type { Message } from "./program/message.js";
export { MAX_WAITING_MESSAGES, type Trigger, type TriggerEvents } from "./program/trigger.js";
export { I3Error, publicId, toHex } from "@i3/common";
export { readHostKey, type HostIdentity } from "@i3/hip";

export * from "./environment.js";
export * from "./i3-client.js";
export * from "./record-text.js";
export * from "./server-list.js";
export * from "./io/listed-servers.js";
export * from "./io/record-file.js";
export * from "./io/server-list-file.js";
export type { NearKey } from "./near-ids.js";
export { Replacements } from "./replacements.js";
export type { PacketLimits } from "./sender-paths.js";
export type { ServerClock, ServerStatus } from "./servers.js";
export type { TriggerStatus } from "./trigger-keeper.js";
export type { UplinkCounters, UplinkPlace } from "./uplinks.js";
