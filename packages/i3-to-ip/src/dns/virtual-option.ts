/** The option of questions and answers, which clients know too. */
export { decodeVirtualOption, encodeVirtualOption, MAX_TRY, VIRTUAL_OPTION, type VirtualOption } from "@i3/common";
