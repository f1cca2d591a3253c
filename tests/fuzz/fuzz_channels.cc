// The messages that open channels and carry their data: the parsers, what is made of them for the
// user and the log, and the filter of a forwarded agent.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "proto/agent_filter.h"
#include "proto/allow.h"
#include "proto/channel_open.h"
#include "proto/messages.h"
#include "proto/user_text.h"

namespace {

using namespace bastion;
using namespace bastion::proto;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

bool is_printable(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

void open_message(Bytes message) {
  const auto open = parse_channel_open(message);
  if (!open) {
    return;
  }
  check(describe_destination(*open).size() <= kDetailBytesMax);
  const OwnedNames names{"alice", "deploy", "web1", "7q2m"};
  check(is_printable(printable(open_refused_text(names, *open))));
  check(!allows(Permissions{}, *open) || open->type == ChannelType::kSession);
  const std::uint32_t port = open->port;
  rewrite_channel_open({message.data(), message.size()}, 1, 2, 3);
  const auto again = parse_channel_open(message);
  check(again.has_value());
  check(again->sender == 1 && again->window == 2 && again->max_packet == 3);
  check(again->port == port);
}

void data_message(ByteView message) {
  const auto data = parse_channel_data(message);
  if (data) {
    check(data->header_len + data->data_len == message.size());
    check((data->kind == 0) == (message[0] == kMsgChannelData));
  }
}

void agent(ByteView bytes) {
  AgentFilter whole;
  AgentFilter pieces;
  bool passed = true;
  for (const std::uint8_t& byte : bytes) {
    passed = passed && pieces.pass({&byte, 1});
  }
  check(whole.pass(bytes) == passed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Copies of their exact size: a read past the end is a finding.
  const Bytes input(data, data + size);
  open_message(input);
  data_message(input);
  agent(input);
  (void)parse_channel_confirmation(input);
  if (const auto failure = parse_channel_open_failure(input)) {
    check(is_printable(printable(failure->text)));
  }
  return 0;
}
