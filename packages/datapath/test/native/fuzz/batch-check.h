// What a batch puts out, and in which order.
#pragma once

namespace i3::test {

void batches_end();
void upcalls_follow_packets();

}  // namespace i3::test
