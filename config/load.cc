#include "config/load.h"

#include <algorithm>
#include <tuple>

#include "config/load_internal.h"
#include "config/suggest.h"

namespace bastion::config {
namespace {

std::string counted(std::size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

/// sort_problems puts them in the order of the files and lines, as a person reads them.
void sort_problems(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
}

void sort_problems(Problems& problems) {
  sort_problems(problems.errors);
  sort_problems(problems.warnings);
}

/// run_tests asks the policy each question of `tests:`.
void run_tests(const Policy& policy, Problems& problems) {
  for (const PolicyTest& test : policy.data().tests) {
    Request request;
    request.user = policy.find_user(test.user);
    request.login = test.login;
    request.target = test.target;
    request.peer = test.from;
    if (request.user == nullptr) {
      continue;  // complained of by the loader
    }
    const Explanation why = policy.explain(request, test.action);
    if (why.allowed == test.expect_allow && policy.find_target(test.target)) {
      continue;
    }
    std::string message = "test failed: expected " +
                          std::string(test.expect_allow ? "allow" : "deny") + ", but it is " +
                          why.headline;
    for (const auto& [rule, reason] : why.rules) {
      message += "; " + rule + ": " + reason;
    }
    problems.errors.push_back({policy.data().path, test.line, test.column, std::move(message)});
  }
}

Loaded<std::shared_ptr<const Policy>> load_policy_unsorted(const FileSource& files,
                                                           const std::string& path,
                                                           const ServiceConfig& service) {
  Loaded<std::shared_ptr<const Policy>> loaded;
  const auto root =
      read_yaml(files, path, loaded.problems, "; `policy:` of the service's file names it");
  if (!root) {
    return loaded;
  }
  FileContext file{path, loaded.problems};
  PolicyLoader loader{file, files, service, {}, {}, {}, {}};
  loader.load(*root);
  if (!loaded.problems.ok()) {
    return loaded;
  }
  auto policy = std::make_shared<const Policy>(std::move(loader.data));
  run_tests(*policy, loaded.problems);
  if (loaded.problems.ok()) {
    loaded.value = std::move(policy);
  }
  return loaded;
}

}  // namespace

std::optional<YamlNode> read_yaml(const FileSource& files, const std::string& path,
                                  Problems& problems, std::string_view named_by) {
  const FileContents contents = files.read(path, FileKind::kText);
  if (!contents) {
    const bool missing = contents.error().starts_with("cannot open");
    const std::string_view cure = missing ? named_by : "";
    problems.errors.push_back({path, 0, 0, contents.error() + std::string(cure)});
    return std::nullopt;
  }
  return parse_yaml(as_text(*contents), path, problems);
}

std::optional<NamedFile> read_named(FileContext& file, const FileSource& files,
                                    const YamlNode& node, std::string_view label, FileKind kind) {
  const auto named = text_of(file, node, label, "a file");
  if (!named) {
    return std::nullopt;
  }
  NamedFile out;
  out.path = resolve_path(file.path, *named);
  FileContents contents = files.read(out.path, kind);
  if (!contents) {
    file.error(node, std::string(label) + ": " + out.path + ": " + contents.error());
    return std::nullopt;
  }
  out.contents = std::move(*contents);
  return out;
}

Loaded<std::shared_ptr<const Policy>> load_policy(const FileSource& files, const std::string& path,
                                                  const ServiceConfig& service) {
  auto loaded = load_policy_unsorted(files, path, service);
  sort_problems(loaded.problems);
  return loaded;
}

Loaded<Configuration> load_configuration(const FileSource& files, const std::string& path) {
  Loaded<Configuration> loaded;
  const auto root = read_yaml(files, path, loaded.problems,
                              "; --config names another, docs/operations.md has a first one");
  if (!root) {
    return loaded;
  }
  Configuration configuration;
  FileContext file{path, loaded.problems};
  load_service(file, files, *root, configuration.service, configuration.keys);
  sort_problems(loaded.problems);
  auto policy = load_policy(files, configuration.service.policy, configuration.service);
  Problems& problems = loaded.problems;
  problems.errors.insert(problems.errors.end(), policy.problems.errors.begin(),
                         policy.problems.errors.end());
  problems.warnings.insert(problems.warnings.end(), policy.problems.warnings.begin(),
                           policy.problems.warnings.end());
  if (problems.ok() && policy.value) {
    configuration.policy = std::move(*policy.value);
    loaded.value = std::move(configuration);
  }
  return loaded;
}

CheckReport check_configuration(const FileSource& files, const std::string& path) {
  const auto loaded = load_configuration(files, path);
  CheckReport report;
  report.ok = loaded.value.has_value();
  report.text = loaded.problems.text();
  if (report.ok) {
    report.text += path + ": ok\n" + loaded.value->service.policy + ": ok, policy " +
                   loaded.value->policy->id() + " (" + summary(*loaded.value->policy) + ")\n";
  } else {
    report.text +=
        counted(loaded.problems.errors.size(), "error") + ". The running policy is not touched.\n";
  }
  return report;
}

std::string summary(const Policy& policy) {
  const PolicyData& data = policy.data();
  std::string text = counted(data.users.size(), "user") + ", " +
                     counted(data.targets.size(), "target") + ", " +
                     counted(data.rules.size(), "rule");
  if (!data.tests.empty()) {
    text += ", " + counted(data.tests.size(), "test") + " passed";
  }
  return text;
}

}  // namespace bastion::config
