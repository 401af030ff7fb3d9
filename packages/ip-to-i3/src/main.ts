#!/usr/bin/env node
/** The gateway that publishes hosts of the overlay. */

// Before all else is loaded, which takes most of a start: node answers this signal with its inspector.
process.on("SIGUSR1", () => undefined);
await import("./io/command.js");
