/** Files of a ring with something secret in them. All errors are I3Error ERR_I3_RING_CREDENTIAL. */
import { PrivateFiles } from "@i3/common";

const files = new PrivateFiles("ERR_I3_RING_CREDENTIAL");

export const fileError: PrivateFiles["error"] = (...what) => files.error(...what);
export const readPrivateFile: PrivateFiles["read"] = (...what) => files.read(...what);
export const writeNewPrivateFile: PrivateFiles["writeNew"] = (...what) => files.writeNew(...what);
