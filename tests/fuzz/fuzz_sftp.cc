// An sftp conversation under rules: the first octet chooses them, then come pieces: a u8 for the
// side, a u8 for the length, and that many bytes.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "proto/sftp_stream.h"

namespace {

using namespace bastion;
using namespace bastion::proto;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

class Nobody final : public FileEvents {
 public:
  void file_event(const FileEvent& event) override { check(event.path.size() <= 4096); }
  void file_data(const FileData& data) override {
    std::uint64_t& next = data.from == Leg::kUpstream ? read_[data.file] : written_[data.file];
    check(data.offset == next);
    next += data.bytes.size();
  }

 private:
  std::map<std::uint32_t, std::uint64_t> read_;
  std::map<std::uint32_t, std::uint64_t> written_;
};

class Counter final : public SftpOutput {
 public:
  void pass(MutBytes piece) override { num += piece.size(); }
  void pass_kept(ByteView bytes) override { num += bytes.size(); }
  std::size_t num = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t len) {
  if (len == 0) {
    return 0;
  }
  FileRules rules;
  rules.upload = (bytes[0] & 1) == 0;
  rules.download = (bytes[0] & 2) == 0;
  rules.size_max = (bytes[0] & 4) == 0 ? 0 : 100;
  rules.paths =
      (bytes[0] & 8) == 0 ? std::vector<std::string>{} : std::vector<std::string>{"/a/**", "~/b?"};
  rules.deny_paths =
      (bytes[0] & 16) == 0 ? std::vector<std::string>{} : std::vector<std::string>{"~/c/*"};
  rules.digest = true;
  Nobody events;
  Counter out;
  SftpStream stream(rules, events);
  std::size_t sent = 0;
  std::size_t dropped = 0;
  std::int64_t now_us = 0;
  for (std::size_t at = 1; at < len;) {
    const std::uint8_t side = bytes[at++];
    const std::size_t n = at == len ? 0 : std::min<std::size_t>(bytes[at], len - at - 1);
    at += at == len ? 0 : 1;
    Bytes piece(bytes + at, bytes + at + n);
    at += n;
    if ((side & 1) == 0) {
      sent += n;
      const auto taken = stream.from_client(piece, ++now_us, out);
      if (!taken) {
        break;
      }
      dropped += *taken;
      check(out.num + dropped + stream.kept_bytes() == sent);
      check(stream.kept_bytes() <= kSftpSmallFrameBytesMax);
    } else {
      const auto boundary = stream.from_server(piece, ++now_us);
      if (!boundary) {
        break;
      }
      check(*boundary > 0 && *boundary <= n + 1);
    }
    while (stream.has_answer() && stream.at_boundary()) {
      check(stream.next_answer().size() <= 256);
      stream.pop_answer();
    }
  }
  stream.finish(++now_us);
  return 0;
}
