// Networks without UDP (docs/datapath.md, "Detour") under the sanitizers: what goes up, what comes back, bounds.
#pragma once

namespace i3::test {

void detours();

}  // namespace i3::test
