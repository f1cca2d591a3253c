// read_recording FILE [AUDIT_KEY.pub]: what is in a recording, for the Python suites. The first
// line is the verdict, then one line for each entry: JSON, bytes in hexadecimal.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>

#include "crypto/keys.h"
#include "daemon/recording/reader.h"
#include "daemon/recording/verify.h"

namespace {

using namespace bastion;

std::string hex_of(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string contents(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void print_verdict(const recording::VerifyResult& result) {
  const std::string problems =
      result.problem ? "\"" + std::string(recording::problem_name(result.problem->kind)) + "\""
                     : "";
  const std::string metadata =
      result.metadata ? recording::to_json(*result.metadata) : std::string("null");
  const std::string end = result.end ? recording::to_json(*result.end) : std::string("null");
  std::printf(
      "{\"verdict\": \"%s\", \"problems\": [%s], \"blocks\": %llu, \"metadata\": %s, \"end\": "
      "%s}\n",
      std::string(recording::verdict_name(result.verdict)).c_str(), problems.c_str(),
      static_cast<unsigned long long>(result.num_blocks), metadata.c_str(), end.c_str());
}

void print_entries(const std::string& file) {
  recording::Decompressor decompressor;
  recording::RecordingReader reader(decompressor, {});
  reader.feed(as_bytes(file));
  while (true) {
    const auto item = reader.next();
    if (std::holds_alternative<recording::RecordingReader::NeedBytes>(item) ||
        std::holds_alternative<recording::Problem>(item)) {
      return;
    }
    if (const auto* entry = std::get_if<recording::Entry>(&item)) {
      std::printf("{\"time_us\": %llu, \"channel\": %u, \"kind\": \"%s\", \"bytes\": \"%s\"}\n",
                  static_cast<unsigned long long>(entry->time_us), entry->channel,
                  std::string(recording::entry_kind_name(entry->kind)).c_str(),
                  hex_of(entry->bytes).c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    return 2;
  }
  const std::string file = contents(argv[1]);
  std::vector<crypto::PublicKey> keys;
  if (argc > 2) {
    std::string line = contents(argv[2]);
    const auto key = crypto::PublicKey::parse_line(line.substr(0, line.find('\n')));
    if (!key) {
      return 2;
    }
    keys.push_back(*key);
  }
  recording::Verifier verifier("", keys);
  verifier.feed(as_bytes(file));
  print_verdict(verifier.finish());
  print_entries(file);
  return 0;
}
