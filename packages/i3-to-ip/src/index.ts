/** The place of a gateway that is not built yet (issue 7). */
export {};
