#include "proto/kexinit.h"

#include <array>

#include "base/limits.h"
#include "base/wire.h"
#include "proto/messages.h"
#include "proto/name_list.h"

namespace bastion::proto {
namespace {

template <typename Names>
std::string join(const Names& names) {
  std::string joined;
  joined.reserve(512);
  for (const auto& name : names) {
    if (!joined.empty()) {
      joined += ',';
    }
    joined += name;
  }
  return joined;
}

}  // namespace

Result<KexInit> parse_kexinit(ByteView payload) {
  if (payload.size() > limits::kKexInitBytesMax) {
    return fail(ErrorCode::kLimit, "KEXINIT too long", static_cast<std::int64_t>(payload.size()));
  }
  Reader reader(payload);
  const std::uint8_t message = reader.u8();
  KexInit init;
  init.cookie = reader.bytes(16);
  std::array<std::string_view, 10> lists;
  for (std::string_view& list : lists) {
    list = reader.text();
  }
  init.first_kex_packet_follows = reader.lenient_boolean();
  const std::uint32_t reserved = reader.u32();
  if (!reader.done() || message != kMsgKexInit) {
    return fail(ErrorCode::kProtocol, "malformed KEXINIT");
  }
  if (reserved != 0) {
    return fail(ErrorCode::kProtocol, "KEXINIT's reserved field is set", reserved);
  }
  for (const std::string_view list : lists) {
    BASTION_TRY(check_name_list(list));
  }
  init.kex = lists[0];
  init.host_keys = lists[1];
  init.ciphers_to_server = lists[2];
  init.ciphers_to_client = lists[3];
  init.macs_to_server = lists[4];
  init.macs_to_client = lists[5];
  init.compression_to_server = lists[6];
  init.compression_to_client = lists[7];
  return init;
}

Bytes encode_kexinit(ByteView cookie, const AlgorithmLists& lists,
                     std::span<const std::string_view> host_keys,
                     std::span<const std::string_view> markers) {
  std::string kex = join(lists.kex);
  for (const std::string_view marker : markers) {
    kex += ',';
    kex += marker;
  }
  const std::string ciphers = join(lists.ciphers);
  const std::string macs = join(lists.macs);
  Writer writer;
  writer.u8(kMsgKexInit).bytes(cookie);
  writer.text(kex).text(join(host_keys));
  writer.text(ciphers).text(ciphers).text(macs).text(macs);
  writer.text("none").text("none");
  writer.text("").text("");
  writer.boolean(false).u32(0);
  return writer.take();
}

}  // namespace bastion::proto
