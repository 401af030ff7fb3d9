// Services of flows under the sanitizers: shapes, packets that end anywhere, the table's bound and memory.
#pragma once

namespace i3::test {

void service_shapes();
void service_packets();
void service_table();

}  // namespace i3::test
