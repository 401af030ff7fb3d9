/** What tests of several packages share. */
export * from "./random-bytes.js";
export * from "./rfc-vectors.js";
