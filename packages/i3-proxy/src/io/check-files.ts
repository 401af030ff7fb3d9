/** Checks everything that a configuration names, and creates nothing. */
import { EMPTY_ADDRESS_BOOK, MAX_ADDRESS_BOOK_BYTES, parseAddressBook, readBoundedFile, type AddressBook, type ProxyConfig } from "@i3/common";

import { AccessList } from "../policy/access-list.js";
import { unruledNames, unruledText, unruledZones } from "../policy/unruled-names.js";
import { checkJournal } from "./journal.js";
import { checkHipIdentity, checkIdentity } from "./own-identity.js";
import { pinFileOf, readPins } from "./pin-file.js";
import { checkPublishedRecords } from "./published-records.js";
import { readServers, serverFileOf } from "./server-file.js";
import { checkStateDirectory } from "./state-directory.js";
import { readZoneRecords, zoneRecordFileOf } from "./zone-record-file.js";

/** Rejects with I3Error. */
export const readBook = async (file: string): Promise<AddressBook> => parseAddressBook((await readBoundedFile(file, MAX_ADDRESS_BOOK_BYTES)).bytes, file);

/** Rejects with I3Error. */
export const readBookOf = async ({ addressBook }: ProxyConfig): Promise<AddressBook> => (addressBook === undefined ? EMPTY_ADDRESS_BOOK : await readBook(addressBook.file));

/** Returns what may be a mistake, a line each. Rejects with I3Error. */
export async function checkFiles(config: ProxyConfig): Promise<readonly string[]> {
  const book = await readBookOf(config);
  checkStateDirectory(config.state.directory);
  checkJournal(config.state.directory);
  checkIdentity(config);
  checkHipIdentity(config);
  readPins(pinFileOf(config.state.directory));
  readZoneRecords(zoneRecordFileOf(config.state.directory));
  readServers(serverFileOf(config.state.directory));
  const records = checkPublishedRecords(config.zones, Date.now());
  const access = new AccessList(config.access, book);
  const groups = access.emptyGroups().map((group) => `<access> has the group "${group}", and no host of the address book is in it`);
  const unruled = unruledText(unruledNames(book, config.rules));
  return [...access.oddities(), ...groups, ...records, ...unruledZones(config.zones, config.rules), ...(unruled === null ? [] : [unruled])];
}
