#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace bastion::config {
namespace {

using Command = proto::FileRules::Command;

std::string policy_with(const std::string& rules) {
  return "users:\n  alice: {keys: [KEY1]}\n"
         "targets:\n  web1: {address: 10.0.0.1, host_keys: [KEY9]}\n"
         "rules:\n" +
         rules;
}
std::string rule(const std::string& name, const std::string& more) {
  return "  - {name: " + name + ", who: all, targets: all, logins: all, " + more + "}\n";
}

proto::Permissions granted(const std::string& rules) {
  const auto loaded = load_policy_text(policy_with(rules));
  if (!loaded.value) {
    throw std::runtime_error(loaded.problems.errors.front().text());
  }
  Request request;
  request.user = (*loaded.value)->find_user("alice");
  request.login = "root";
  request.target = "web1";
  return (*loaded.value)->grant(request)->permissions;
}

std::string first_problem(const std::string& more) {
  const auto loaded = load_policy_text(policy_with(rule("r", more)));
  const auto& problems = loaded.problems.ok() ? loaded.problems.warnings : loaded.problems.errors;
  return problems.empty() ? "" : problems.front().text();
}

TEST(PolicyFiles, AreCompiledIntoTheGrant) {
  const proto::Permissions permissions = granted(
      rule("r",
           "allow: [sftp], files: {allow: [upload], paths: [\"~/in/*\"], deny_paths: [/etc/**],"
           " size: 2MiB, digest: sha256, scp: allow}"));
  const proto::FileRules& files = permissions.sftp_files;
  EXPECT_FALSE(files.download);
  EXPECT_TRUE(files.upload);
  EXPECT_EQ(files.paths, (std::vector<std::string>{"~/in/*"}));
  EXPECT_EQ(files.deny_paths, (std::vector<std::string>{"/etc/**"}));
  EXPECT_EQ(files.size_max, 2U << 20);
  EXPECT_TRUE(files.digest);
  EXPECT_EQ(files.scp, Command::kAllowed);
  EXPECT_EQ(files.rsync, Command::kRefused) << "a size cannot be held against it";
  EXPECT_EQ(permissions.exec_files, proto::FileRules{});
}

TEST(PolicyFiles, ComeWithTheFirstRuleThatAllowsTheAction) {
  const proto::Permissions permissions =
      granted(rule("a", "allow: [{subsystem: [netconf]}]") +
              rule("b", "allow: [sftp], files: {read_only: true}") +
              rule("c", "allow: [sftp, exec], files: {allow: [upload]}"));
  EXPECT_TRUE(permissions.sftp_files.download);
  EXPECT_FALSE(permissions.sftp_files.upload);
  EXPECT_FALSE(permissions.exec_files.download);
}

TEST(PolicyFiles, DenyingExecDeniesScpToo) {
  const proto::Permissions permissions =
      granted("  - {name: d, who: all, targets: all, deny: [exec]}\n" +
              rule("r", "allow: [sftp], files: {scp: allow}"));
  EXPECT_EQ(permissions.sftp_files.scp, Command::kRefused);
}

TEST(PolicyFiles, MistakesAreSaid) {
  EXPECT_EQ(first_problem("allow: [sftp], files: {digest: sha256}"), "");
  const auto says = [](const std::string& more, std::string_view text) {
    EXPECT_NE(first_problem(more).find(text), std::string::npos) << more << "\n"
                                                                 << first_problem(more);
  };
  says("allow: [sftp], files: {allow: [dowload]}", "did you mean \"download\"?");
  says("allow: [sftp], files: {allow: []}", "a list of download and upload");
  says("allow: [sftp], files: {read_only: true, allow: [upload]}", "contradict");
  says("allow: [sftp], files: {paths: [srv]}", "a path from / or ~/");
  says("allow: [sftp], files: {paths: [/srv/../x]}", "write \"/x\"");
  says("allow: [sftp], files: {size: 0}", "size");
  says("allow: [sftp], files: {digest: md5}", "sha256 or none");
  says("allow: [sftp], files: {scp: maybe}", "allow or deny");
  says("allow: [sftp], files: {pathes: [/a]}", "did you mean \"paths\"?");
  says("allow: [agent], files: {read_only: true}", "beside sftp, exec or all only");
  says("deny: true, files: {read_only: true}", "no meaning in a deny rule");
  says("allow: all, files: {read_only: true}", "a shell moves files, too");
}

}  // namespace
}  // namespace bastion::config
