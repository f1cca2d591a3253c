#include <gtest/gtest.h>

#include "config/yaml_node.h"

namespace bastion::config {
namespace {

/// problem_of is what is wrong with a text, or "ok".
std::string problem_of(std::string_view text) {
  Problems problems;
  const auto root = parse_yaml(text, "f", problems);
  if (root.has_value()) {
    EXPECT_TRUE(problems.ok());
    return "ok";
  }
  EXPECT_EQ(problems.errors.size(), 1U);
  return problems.errors.empty() ? "nothing said" : problems.errors.front().text();
}

TEST(Yaml, KeepsScalarsAsTheyAreWrittenWithTheirPlaces) {
  Problems problems;
  const auto root = parse_yaml(
      "a: no\nb: [off, 0x10, 1.10, 012, ~, \"\", 'x y']\nc:\n  d: \"true\"\n  e:\n", "f", problems);
  ASSERT_TRUE(root.has_value());
  ASSERT_EQ(root->members.size(), 3U);
  EXPECT_EQ(root->members[0].value.text, "no");
  EXPECT_TRUE(root->members[0].value.plain);
  const YamlNode& list = root->members[1].value;
  ASSERT_EQ(list.items.size(), 7U);
  EXPECT_EQ(list.items[0].text, "off");
  EXPECT_EQ(list.items[1].text, "0x10");
  EXPECT_EQ(list.items[2].text, "1.10");
  EXPECT_EQ(list.items[3].text, "012");
  EXPECT_EQ(list.items[4].kind, YamlNode::Kind::kNull);
  EXPECT_TRUE(list.items[5].is_scalar());
  EXPECT_EQ(list.items[6].text, "x y");
  EXPECT_EQ(list.items[1].line, 2);
  EXPECT_EQ(list.items[1].column, 10);
  const YamlNode& d = root->members[2].value.members[0].value;
  EXPECT_EQ(d.text, "true");
  EXPECT_FALSE(d.plain);
  EXPECT_EQ(d.line, 4);
  EXPECT_EQ(root->members[2].value.members[1].value.kind, YamlNode::Kind::kNull);
}

TEST(sec_092_Yaml, WhatIsNotOneDocumentOfKeysIsRefused) {
  EXPECT_EQ(problem_of(""), "f: the file is empty");
  EXPECT_EQ(problem_of("# only a comment\n"), "f: the file is empty");
  EXPECT_EQ(problem_of("---\n"), "f: the file is empty");
  EXPECT_EQ(problem_of("~\n"), "f: the file is empty");
  EXPECT_EQ(problem_of("- a\n- b\n"), "f:1:1: expected keys and values, such as \"listen: [...]\"");
  EXPECT_EQ(problem_of("text\n"), "f:1:1: expected keys and values, such as \"listen: [...]\"");
  EXPECT_EQ(problem_of("a: 1\n---\nb: 2\n"),
            "f:2:1: a second document begins here; a configuration file is one document");
  EXPECT_EQ(problem_of("---\na: 1\n...\n"), "ok");
}

TEST(sec_092_Yaml, DuplicateKeysAreRefused) {
  EXPECT_EQ(problem_of("a: 1\nb: 2\na: 3\n"), "f:3:1: the key \"a\" stands twice; first in line 1");
  EXPECT_EQ(problem_of("x:\n  - {k: 1, \"k\": 2}\n"),
            "f:2:12: the key \"k\" stands twice; first in line 2");
  EXPECT_EQ(problem_of("a: {k: 1}\nb: {k: 1}\n"), "ok");
}

TEST(sec_092_Yaml, AnchorsAliasesMergeKeysAndTagsAreRefused) {
  EXPECT_EQ(problem_of("a: &x [1]\n"), "f:1:4: anchors (&name) are not accepted");
  EXPECT_EQ(problem_of("a: &x 1\nb: *x\n"), "f:1:4: anchors (&name) are not accepted");
  EXPECT_NE(problem_of("a: *x\n").find("anchor"), std::string::npos);
  EXPECT_EQ(problem_of("a:\n  <<: {b: 1}\n"), "f:2:3: merge keys (<<) are not accepted");
  EXPECT_EQ(problem_of("a:\n  \"<<\": 1\n"), "ok");
  EXPECT_EQ(problem_of("a: !!str 1\n"), "f:1:4: tags (!name) are not accepted");
  EXPECT_EQ(problem_of("a: !secret x\n"), "f:1:4: tags (!name) are not accepted");
  EXPECT_EQ(problem_of("[a]: 1\n"), "f:1:1: a key has to be text");
  EXPECT_EQ(problem_of("? {a: 1}\n: 1\n"), "f:1:3: a key has to be text");
  EXPECT_NE(problem_of("~: 1\n"), "ok");
}

TEST(sec_092_Yaml, TheBombOfAnchorsStopsAtItsFirst) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c <= 'z'; ++c) {
    const std::string before(1, static_cast<char>(c - 1));
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) {
      bomb += (i > 0 ? ",*" : "*") + before;
    }
    bomb += "]\n";
  }
  EXPECT_EQ(problem_of(bomb), "f:1:4: anchors (&name) are not accepted");
}

TEST(sec_092_Yaml, SizesAndDepthsAreBounded) {
  EXPECT_EQ(problem_of("a: " + std::string(kYamlScalarBytesMax, 'x')), "ok");
  EXPECT_EQ(problem_of("a: " + std::string(kYamlScalarBytesMax + 1, 'x')),
            "f:1:4: a value of 65537 bytes; at most 65536 are accepted");
  EXPECT_NE(problem_of("a: \"" + std::string(10'000'000, 'x') + "\""), "ok");
  const auto nested = [](std::size_t depth) {
    return "a: " + std::string(depth, '[') + std::string(depth, ']') + "\n";
  };
  EXPECT_EQ(problem_of(nested(kYamlDepthMax - 1)), "ok");
  EXPECT_EQ(problem_of(nested(kYamlDepthMax)), "f:1:35: lists and maps more than 32 deep");
  EXPECT_NE(problem_of(nested(100'000)), "ok");
  EXPECT_NE(problem_of("a: " + std::string(100'000, '{')), "ok");
  std::string block;
  for (int i = 0; i < 100; ++i) {
    block += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  }
  EXPECT_NE(problem_of(block), "ok");
}

TEST(sec_092_Yaml, OnlyTextIsRead) {
  EXPECT_EQ(problem_of("a: \xff\n"), "f:1:4: a byte that is not UTF-8");
  EXPECT_EQ(problem_of("a: 1\nb: \xc0\x80\n"), "f:2:4: a byte that is not UTF-8");
  EXPECT_EQ(problem_of("a: \xed\xa0\x80\n"), "f:1:4: a byte that is not UTF-8");
  EXPECT_EQ(problem_of("a: \xf4\x90\x80\x80\n"), "f:1:4: a byte that is not UTF-8");
  EXPECT_EQ(problem_of("a: \xe2\x82"), "f:1:4: a byte that is not UTF-8");
  EXPECT_EQ(problem_of("a: gr\xc3\xbc\xc3\x9f\n"), "ok");
  EXPECT_EQ(problem_of(std::string_view("a: b\0c\n", 7)), "f:1:5: a control character");
  EXPECT_EQ(problem_of("a: \x1b[31m\n"), "f:1:4: a control character");
  EXPECT_EQ(problem_of(std::string_view("\xff\xfe"
                                        "a\0:\0 \0b\0",
                                        10)),
            "f:1:1: a byte that is not UTF-8");
  EXPECT_EQ(problem_of("a: \"x\\0y\"\n"), "f:1:4: a NUL byte inside a value");
}

TEST(Yaml, SyntaxErrorsHaveTheirPlace) {
  EXPECT_EQ(
      problem_of("a: [1, 2\n"),
      "f:2:1: not YAML: end of sequence flow not found; here or in a line before it a comma, a "
      "bracket or a closing quote is missing");
  EXPECT_EQ(problem_of("a: {b: 1\n"),
            "f:2:1: not YAML: end of map flow not found; here or in a line before it a comma, a "
            "bracket or a closing quote is missing");
  EXPECT_EQ(problem_of("a: \"x"), "f:1:6: not YAML: illegal EOF in scalar; a quote is left open");
  EXPECT_EQ(
      problem_of("a: b: c\n"),
      "f:1:5: not YAML: illegal map value; the indentation differs from the line before, or a "
      "text with \": \" wants quotes");
  EXPECT_EQ(problem_of("a: 1\nb: \"x\nc: \"y\"\n"),
            "f:3:5: not YAML: end of map not found; here or in a line before it a quote is left "
            "open or the indentation differs");
  EXPECT_EQ(problem_of("a:\n  b: 1\n\tc: 2\n"),
            "f:3:1: a tab; YAML takes only spaces for indentation");
  EXPECT_EQ(problem_of("a:\n\t- b\n"), "f:2:1: a tab; YAML takes only spaces for indentation");
  EXPECT_NE(problem_of("a: @x\n"), "ok");
}

}  // namespace
}  // namespace bastion::config
