// What a batch puts out, in which order, and what two lanes do at a time.
#pragma once

namespace i3::test {

void batches_end();
void silent_batches_end();
void upcalls_follow_packets();
void one_lane_takes_a_refresh();

}  // namespace i3::test
