/** The packet engine: the interface, its reference implementation, its I/O, the data header's codec (docs/datapath.md). */
export * from "./datapath.js";
export * from "./errors.js";
export * from "./wire/data-header.js";
export * from "./wire/first-byte.js";
export * from "./reference/step.js";
export { ReferenceEngine } from "./reference/engine.js";
export {
  DROP_REASONS, NativeEngine, type NativeEngineOptions, type Offloading, type RawStepInput, type RawStepOutput, type RunningNativeEngine, type SteppedNativeEngine, type SystemCalls,
} from "./native-engine.js";
export type { RawDatagram, VnetPacket } from "./native-addon.js";
export * from "./io/index.js";
