/** What every package shares: ids, locators, wire codecs, configuration, errors. */
export * from "./errors.js";
export * from "./locator.js";
export * from "./bytes.js";
export * from "./hash.js";
export * from "./normal-name.js";
export * from "./ids.js";
export * from "./config/index.js";
export * from "./io/bounded-file.js";
export * from "./io/durable-file.js";
export * from "./io/watched-file.js";
export * from "./io/daemon-main.js";
export * from "./io/stderr-log.js";
export * from "./wire/msgpack.js";
export * from "./wire/control.js";
export * from "./wire/record.js";
export * from "./wire/hip-header.js";
export * from "./token-bucket.js";
