/** What i3ctl prints and how it asks, for the tests of whole systems and for a dashboard. The command is main.ts. */
export { askControl, DEFAULT_SOCKET } from "./io/control-client.js";
export { statusText } from "./status/status-text.js";
