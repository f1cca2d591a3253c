#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "config/load.h"
#include "tests/fuzz/config_fixture.h"
#include "tests/support/test_data.h"
#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

std::string sample(const std::string& name) {
  std::ifstream in(test::test_data("../deploy/samples/" + name));
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Loaded<Configuration> load_sample(const std::string& service) {
  FileBundle files;
  for (const std::string name : {"ssh_host_ed25519_key", "user_ca", "audit_key"}) {
    files.add("/etc/bastiond/" + name,
              crypto::PrivateKey::generate(crypto::KeyType::kEd25519)->to_openssh("sample"));
  }
  files.add("/etc/bastiond/bastiond.yaml", secret_text(service));
  files.add("/etc/bastiond/policy.yaml", secret_text(sample("policy.yaml")));
  return load_configuration(files, "/etc/bastiond/bastiond.yaml");
}

/// with_defaults_written_out takes the '#' off every line that shows a default.
std::string with_defaults_written_out(const std::string& text) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    const bool key = line.size() > 1 && line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
    const bool child = line.starts_with("#  ") && line[3] >= 'a' && line[3] <= 'z';
    const bool no_default = line.starts_with("#name:") || line.starts_with("#host_certificates:") ||
                            line == "#algorithms:" || line.starts_with("#  preset:") ||
                            line.starts_with("#  ciphers:");
    out += ((key || child) && !no_default ? line.substr(1) : line) + "\n";
  }
  return out;
}

TEST(Samples, LoadWithoutAWarning) {
  const auto loaded = load_sample(sample("bastiond.yaml"));
  ASSERT_TRUE(loaded) << loaded.problems.text();
  EXPECT_TRUE(loaded.problems.warnings.empty()) << loaded.problems.text();
  EXPECT_EQ(summary(*loaded.value->policy), "2 users, 4 targets, 4 rules, 5 tests passed");
}

TEST(Samples, WhatIsCommentedOutIsTheDefault) {
  const std::string text = sample("bastiond.yaml");
  const std::string written_out = with_defaults_written_out(text);
  EXPECT_NE(written_out.find("\n  keepalive_missed: 3"), std::string::npos);
  const auto defaults = load_sample(text);
  const auto spelt = load_sample(written_out);
  ASSERT_TRUE(spelt) << spelt.problems.text();
  EXPECT_EQ(spelt.value->service, defaults.value->service);
}

TEST(Samples, ThePrintedConfigurationIsTheSame) {
  auto loaded = load_sample(sample("bastiond.yaml"));
  ASSERT_TRUE(loaded);
  const std::string printed = print_config(*loaded.value);
  const std::size_t cut = printed.find("---\n");
  FileBundle files;
  files.add("/etc/bastiond/policy.yaml", secret_text(printed.substr(cut + 4)));
  const auto again = load_policy(files, "/etc/bastiond/policy.yaml", loaded.value->service);
  ASSERT_TRUE(again) << again.problems.text();
  EXPECT_EQ((*again.value)->hash(), loaded.value->policy->hash());
}

// The fuzz targets begin with files that load, so that they reach what lies behind the loader.
TEST(FuzzSeeds, GetPastTheLoader) {
  for (const std::string name : {"sample", "small"}) {
    FileBundle files = fuzz_files();
    files.add("/etc/bastiond/policy.yaml",
              secret_text(sample("../../tests/fuzz/corpus/policy_yaml/" + name)));
    ServiceConfig service;
    service.user_ca = "user_ca";
    const auto loaded = load_policy(files, "/etc/bastiond/policy.yaml", service);
    EXPECT_TRUE(loaded) << loaded.problems.text();
  }
  for (const std::string name : {"least", "much"}) {
    FileBundle files = fuzz_files();
    files.add("/etc/bastiond/bastiond.yaml",
              secret_text(sample("../../tests/fuzz/corpus/bastiond_yaml/" + name)));
    const auto loaded = load_configuration(files, "/etc/bastiond/bastiond.yaml");
    EXPECT_TRUE(loaded) << loaded.problems.text();
  }
}

}  // namespace
}  // namespace bastion::config
