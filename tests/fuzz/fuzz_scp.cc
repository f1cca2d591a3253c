// Commands that may move files, and the old scp protocol. The input up to the first newline is a
// command; behind it are pieces, each a u8 of side and length and that many bytes.
#include <algorithm>
#include <cstdlib>

#include "proto/file_commands.h"
#include "proto/scp_stream.h"

namespace {

using namespace bastion;
using namespace bastion::proto;

class Sum final : public FileEvents {
 public:
  void file_event(const FileEvent& event) override {
    if (event.operation == FileOperation::kClose && event.whole_written &&
        shown != event.bytes_written) {
      std::abort();
    }
    // A source's complaint is an open without a file: another one may still await its answer.
    shown = event.operation == FileOperation::kOpen && event.file != 0 ? 0 : shown;
  }
  void file_data(const FileData& data) override { shown += data.bytes.size(); }
  std::uint64_t shown = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t len) {
  const ByteView input(bytes, len);
  const auto end = std::ranges::find(input, std::uint8_t{'\n'});
  const auto command = recognise_command(as_text({input.begin(), end}));
  if (command.kind == FileCommand::Kind::kScp &&
      (command.paths.empty() || command.uploads == command.downloads)) {
    std::abort();
  }
  Sum sum;
  ScpStream stream(true, true, sum);
  auto at = static_cast<std::size_t>(end - input.begin());
  for (++at; at < len;) {
    const std::uint8_t head = bytes[at++];
    const std::size_t n = std::min<std::size_t>(head / 2U, len - at);
    const Leg from = (head & 1) == 0 ? Leg::kDownstream : Leg::kUpstream;
    if (stream.pass(from, input.subspan(at, n), 0).size() > n) {
      std::abort();  // more than was said
    }
    at += n;
  }
  stream.finish(0);
  return 0;
}
