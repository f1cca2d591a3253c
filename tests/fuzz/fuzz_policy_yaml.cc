// Any bytes as policy.yaml: it loads or it has an error, never both; what loads decides without
// surprise: a grant is something that an action of it is allowed, a listing is what is granted, and
// what is printed loads to the same policy.
#include <algorithm>

#include "tests/fuzz/config_fixture.h"

namespace bastion::config {
namespace {

void ask_everything(const Policy& policy) {
  Request request;
  request.bastion = "bastion";
  request.peer = *IpAddress::parse("10.0.0.1");
  for (const User& user : policy.data().users) {
    request.user = &user;
    for (const Reachable& line : policy.reachable(request)) {
      request.target = line.target;
      request.port = 0;
      for (const std::string& login : line.logins) {
        request.login = login == "*" ? std::string_view("root") : std::string_view(login);
        if (is_target_name(line.target) && policy.find_target(line.target)) {
          must(login == "*" || policy.grant(request).has_value());
        }
      }
    }
    for (const std::string_view target : {"web1", "db-7", "10.0.1.11", "x", "lab1.example"}) {
      for (const std::string_view login : {"root", "deploy", "alice"}) {
        request.target = target;
        request.login = login;
        request.port = 0;
        const auto grant = policy.grant(request);
        must(grant || !grant.error().text.empty());
        for (const std::string_view action : {"shell", "sftp", "forward_local:db:80", "jump"}) {
          const ActionRequest asked = *parse_action(action);
          must(policy.explain(request, asked).allowed == policy.allows(request, asked));
        }
        request.port = 22;
        const auto jump = policy.jump(request);
        must(jump || !jump.error().text.empty());
      }
    }
  }
}

void load_again(const Policy& policy, const ServiceConfig& service, const FileBundle& files) {
  // A default known_hosts that only revokes has no line of its own in the printed file.
  for (const Target& target : policy.data().targets) {
    if (target.host_keys.also_revoked_by != nullptr) {
      return;
    }
  }
  Configuration configuration;
  configuration.service = service;
  configuration.policy = std::make_shared<const Policy>(policy.data());
  const std::string printed = print_config(configuration);
  FileBundle with_printed = files;
  with_printed.add(
      "/etc/bastiond/policy.yaml",
      to_secret(as_bytes(std::string_view(printed).substr(printed.find("---\n") + 4))));
  const auto again = load_policy(with_printed, "/etc/bastiond/policy.yaml", service);
  must(again.value.has_value());
  must((*again.value)->hash() == policy.hash());
}

}  // namespace
}  // namespace bastion::config

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bastion;
  using namespace bastion::config;
  FileBundle files = fuzz_files();
  files.add("/etc/bastiond/policy.yaml", to_secret({data, size}));
  ServiceConfig service;
  service.user_ca = "/etc/bastiond/user_ca";
  const auto loaded = load_policy(files, "/etc/bastiond/policy.yaml", service);
  must(loaded.value.has_value() == loaded.problems.ok());
  must(loaded.problems.text().find('\x1b') == std::string::npos);
  if (loaded) {
    ask_everything(**loaded.value);
    load_again(**loaded.value, service, files);
  }
  return 0;
}
