// What one decision of the warden costs with a policy of 1,000 users, 1,000 targets and 1,000
// rules.
#include <benchmark/benchmark.h>

#include "base/wire.h"
#include "config/policy.h"

namespace bastion::config {
namespace {

constexpr int kSize = 1000;

Bytes key_blob(int number) {
  Bytes point(32, 9);
  store_u32(point.data(), static_cast<std::uint32_t>(number));
  Writer out;
  out.text("ssh-ed25519").string(point);
  return out.take();
}

const Policy& big_policy() {
  static const Policy policy([] {
    PolicyData data;
    for (int i = 0; i < kSize; ++i) {
      const std::string number = std::to_string(i);
      User user;
      user.name = "user" + number;
      user.groups = {"group" + std::to_string(i % 50)};
      user.keys.push_back({*crypto::PublicKey::parse(key_blob(i)), true, false, {}});
      data.users.push_back(std::move(user));
      Target target;
      target.name = target.folded = "target" + number;
      target.address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
      target.labels = {{"env", i % 2 == 0 ? "prod" : "lab"}, {"team", std::to_string(i % 50)}};
      data.targets.push_back(std::move(target));
      Rule rule;
      rule.name = "rule" + number;
      rule.line = i + 1;
      rule.deny = i % 20 == 0;
      rule.groups = {"group" + std::to_string(i % 50)};
      rule.targets.kind = TargetSelector::Kind::kLabels;
      rule.targets.labels = {{"team", {std::to_string(i / 20)}}};
      rule.logins = {"root", "deploy"};
      if (rule.deny) {
        rule.denied.add(Action::kAgent);
      } else {
        Allowance allowance;
        allowance.every = true;
        rule.allow = {allowance};
      }
      data.rules.push_back(std::move(rule));
    }
    return data;
  }());
  return policy;
}

Request request_of(std::string_view target) {
  Request request;
  request.user = big_policy().find_user("user7");
  request.login = "deploy";
  request.target = target;
  request.peer = *IpAddress::parse("10.0.0.1");
  return request;
}

void grant_allowed(benchmark::State& state) {
  const Request request = request_of("target7");
  if (!big_policy().grant(request)) {
    state.SkipWithError("the benchmark's policy does not grant this");
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(big_policy().grant(request));
  }
}
BENCHMARK(grant_allowed);

void grant_no_such_target(benchmark::State& state) {
  const Request request = request_of("tarjet7");
  for (auto _ : state) {
    benchmark::DoNotOptimize(big_policy().grant(request));
  }
}
BENCHMARK(grant_no_such_target);

void user_of_key(benchmark::State& state) {
  const Bytes blob = key_blob(500);
  for (auto _ : state) {
    benchmark::DoNotOptimize(big_policy().user_by_key(blob));
  }
}
BENCHMARK(user_of_key);

void parse_name(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_user_name("alice+deploy@web1.example+2222"));
  }
}
BENCHMARK(parse_name);

}  // namespace
}  // namespace bastion::config

BENCHMARK_MAIN();
