// Every allocation of this program and of OpenSSL, so that a test can look for bytes in all of them.
#pragma once

#include "packets.h"

namespace i3::test {

// Before anything else of OpenSSL.
void track_openssl();
size_t live_allocations();
// All that were ever made.
size_t allocations_made();
// In how many living allocations the bytes are.
size_t count_in_memory(Bytes wanted);
// From now on memory that is given back is searched for these bytes, which are not on the heap themselves.
void watch_freed(Bytes wanted);
// How often they were found since then.
size_t found_in_freed();

}  // namespace i3::test
