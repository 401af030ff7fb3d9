/** The paths of an association past i3, without I/O. */
export { CheckBudget, type CheckShare } from "./check-budget.js";
export { isGenuine, type PathKeys, type PathMessage } from "./check-message.js";
export { MAX_CREDIT_BYTES } from "./constants.js";
export { leadsTo, type PathPlace } from "./path.js";
export * from "./path-set.js";
