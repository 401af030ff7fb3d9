#!/usr/bin/env node
/** The gateway daemon: from the overlay to hosts that run nothing. */

// Before all else is loaded, which takes most of a start: node answers this signal with its inspector.
process.on("SIGUSR1", () => undefined);
await import("./io/command.js");
