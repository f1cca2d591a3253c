// Our transport as a server against any peer; see transport_script.h for the input.
#include "tests/fuzz/transport_script.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bastion::test::run_script(bastion::proto::Role::kServer, {data, size});
  return 0;
}
