#include <cstdlib>

#include "base/escape.h"
#include "daemon/audit/verify.h"

/// The input is an audit log in two pieces, cut where its first octet says. Whatever it is, the
/// verifier gives the same report for the pieces as for the whole, and an event that was read and
/// written again is the same line.
namespace {

using namespace bastion;

audit::Report verify(std::string_view text, std::size_t cut) {
  audit::Verifier verifier({});
  verifier.begin_file("a");
  verifier.feed(text.substr(0, cut));
  verifier.feed(text.substr(cut));
  verifier.end_file();
  return verifier.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view text = as_text({data + 1, size - 1});
  const audit::Report whole = verify(text, text.size());
  const audit::Report pieces = verify(text, std::min<std::size_t>(data[0], text.size()));
  if (whole.num_problems != pieces.num_problems || whole.head != pieces.head ||
      whole.num_lines != pieces.num_lines) {
    std::abort();
  }
  if (const auto shown = unescaped(text); shown && unescaped(escaped(*shown, SIZE_MAX)) != shown) {
    std::abort();
  }
  return 0;
}
