/** Triggers, server choice, caches: what a native program imports and all daemons use. */
export * from "./environment.js";
export * from "./i3-client.js";
export * from "./server-list.js";
export * from "./io/server-list-file.js";
export type { NearKey } from "./near-ids.js";
export type { ServerStatus } from "./servers.js";
export type { TriggerStatus } from "./trigger-keeper.js";
