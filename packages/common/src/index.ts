/** What every package shares: ids, locators, wire codecs, configuration, errors. */
export * from "./errors.js";
export * from "./locator.js";
