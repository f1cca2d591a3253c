#include "daemon/recording/metadata.h"

#include <gtest/gtest.h>

#include "tests/unit/recording/recording_support.h"

namespace bastion::recording {
namespace {

TEST(MetadataJson, ComesBack) {
  Metadata metadata = test::metadata();
  metadata.keys = {{"bastion-recipient-x25519 AAAA", {1, 2, 3}}};
  EXPECT_EQ(parse_metadata(as_bytes(to_json(metadata))), metadata);
}

TEST(MetadataJson, TakesMembersThatItDoesNotKnow) {
  std::string json = to_json(test::metadata());
  json.insert(1, "\"later\":[1,2],");
  EXPECT_EQ(parse_metadata(as_bytes(json)), test::metadata());
}

TEST(MetadataJson, RefusesWhatIsMissingOrOfAnotherType) {
  const std::string good = to_json(test::metadata());
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"user\"", "\"nobody\""},
           {"\"alice\"", "7"},
           {"1700000000000000", "-1"},
           {"1700000000000000", "1.5"},
           {"\"records_input\":true", "\"records_input\":\"yes\""},
           {test::kSession, "../../etc/passwd"},
           {"\"keys\":[]", "\"keys\":{}"},
           {"\"keys\":[]", "\"keys\":[7]"},
           {"\"keys\":[]", "\"keys\":[{\"recipient\":\"x\",\"sealed\":\"%\"}]"}}) {
    std::string json = good;
    json.replace(json.find(from), from.size(), to);
    EXPECT_EQ(parse_metadata(as_bytes(json)).error(), ProblemKind::kMetadata) << json;
  }
  for (const std::string& json : {std::string(), std::string("[]"), std::string("null"),
                                  good.substr(0, good.size() - 1), std::string(10'000, '[')}) {
    EXPECT_FALSE(parse_metadata(as_bytes(json)));
  }
}

TEST(EndJson, ComesBackWithAndWithoutStreams) {
  End end{EndState::kInterrupted, "the worker died", 17, true, {5, 100, 50, 3, 2, 1}};
  EXPECT_EQ(parse_end(as_bytes(to_json(end))), end);
  end.streams_counted = false;
  end.totals = {5, 100, 0, 0, 0, 0};
  EXPECT_EQ(parse_end(as_bytes(to_json(end))), end);
  EXPECT_FALSE(
      parse_end(as_bytes(R"({"state":"well","reason":"","end_us":1,"entries":0,"raw_bytes":0})")));
}

TEST(SignatureJson, ComesBack) {
  const Signature signature{"ssh-ed25519 AAAA", {9, 8, 7}};
  EXPECT_EQ(parse_signature(as_bytes(to_json(signature))), signature);
  EXPECT_FALSE(parse_signature(as_bytes(R"({"key":"x"})")));
}

}  // namespace
}  // namespace bastion::recording
