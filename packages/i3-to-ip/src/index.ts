/** The place of a gateway that is not built yet. */
export {};
