#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "daemon/audit/chain.h"
#include "tests/support/test_data.h"

/// docs/audit-events.md and the schema are the same table.
namespace bastion::audit {
namespace {

std::string page() {
  std::ifstream in(bastion::test::test_data("../docs/audit-events.md"));
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

/// section gives what stands under "### `name`".
std::string section(const std::string& text, std::string_view name) {
  const std::string title = "\n### `" + std::string(name) + "`\n";
  const std::size_t begin = text.find(title);
  if (begin == std::string::npos) {
    return "";
  }
  const std::size_t end = text.find("\n#", begin + title.size());
  return text.substr(begin + title.size(), end - begin - title.size());
}

TEST(AuditEventsPage, HasEveryEventWithExactlyItsFieldsAndAnExample) {
  const std::string text = page();
  for (std::size_t i = 0; i < kNumNames; ++i) {
    const NameInfo& event = info(static_cast<Name>(i));
    const std::string about = section(text, event.name);
    ASSERT_FALSE(about.empty()) << event.name;
    std::set<std::string> named;
    std::string example;
    std::istringstream lines(about);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("{")) {
        example = line;
      }
      if (!line.starts_with("Fields: ")) {
        continue;
      }
      for (std::size_t at = line.find('`'); at != std::string::npos; at = line.find('`', at)) {
        const std::size_t end = line.find('`', at + 1);
        named.insert(line.substr(at + 1, end - at - 1));
        at = end + 1;
      }
    }
    std::set<std::string> expected;
    for (const Key key : event.keys) {
      expected.insert(std::string(info(key).name));
    }
    EXPECT_EQ(named, expected) << event.name;

    ASSERT_TRUE(parse_line(example)) << event.name << ": " << example;
    const auto json = nlohmann::json::parse(example);
    EXPECT_EQ(json["event"], event.name);
    expected.insert({"v", "seq", "time", "event", "prev", "cut"});
    for (const auto& [key, value] : json.items()) {
      EXPECT_TRUE(expected.contains(key)) << event.name << " " << key;
    }
  }
}

TEST(AuditEventsPage, SaysWhatEachFieldIs) {
  constexpr std::array<std::string_view, 4> kKinds = {"text", "number", "flag", "list"};
  const std::string text = page();
  for (std::size_t i = 0; i < kNumKeys; ++i) {
    const KeyInfo& key = info(static_cast<Key>(i));
    std::string row = "\n| `";
    row += key.name;
    row += "` | ";
    row += kKinds[static_cast<std::size_t>(key.kind)];
    row += " | ";
    EXPECT_NE(text.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace bastion::audit
