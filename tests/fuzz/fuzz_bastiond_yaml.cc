// Any bytes as bastiond.yaml: it loads or it has an error, never both; what loads and is printed
// loads to the same.
#include "tests/fuzz/config_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bastion;
  using namespace bastion::config;
  const std::string path = "/etc/bastiond/bastiond.yaml";
  FileBundle files = fuzz_files();
  files.add(path, to_secret({data, size}));
  const auto loaded = load_configuration(files, path);
  must(loaded.value.has_value() == loaded.problems.ok());
  must(loaded.problems.text().find('\x1b') == std::string::npos);
  if (!loaded) {
    return 0;
  }
  const std::string printed = print_config(*loaded.value);
  files.add(path, to_secret(as_bytes(std::string_view(printed).substr(0, printed.find("---\n")))));
  const auto again = load_configuration(files, path);
  must(again.value.has_value());
  ServiceConfig expected = loaded.value->service;
  // What has no effect is not printed.
  expected.state_dir = again.value->service.state_dir;
  expected.metrics_listen = again.value->service.metrics_listen;
  must(again.value->service == expected);
  return 0;
}
