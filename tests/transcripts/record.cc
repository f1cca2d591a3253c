// record holds one conversation on a socket, with somebody else's SSH program as the peer, and
// writes it down:
//   record server FILE KEY [name=value…]       waits for one client on a port that it prints
//   record client FILE KEY PORT [name=value…]  connects to 127.0.0.1
// FILE may be - where only the outcome matters. It exits with 0 where the peer ended well.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "tests/transcripts/conversation.h"

namespace {

using bastion::Bytes;
using bastion::ByteView;
using bastion::test::Conversation;
using bastion::test::ConversationSetup;

int connect_or_accept(bool server, int port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!server) {
    return connect(listener, generic, sizeof address) == 0 ? listener : -1;
  }
  socklen_t len = sizeof address;
  if (bind(listener, generic, sizeof address) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, generic, &len) != 0) {
    return -1;
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  const int connection = accept(listener, nullptr, nullptr);
  close(listener);
  return connection;
}

bool flush(Conversation& conversation, int fd, std::FILE* file) {
  auto& output = conversation.transport().output();
  std::array<ByteView, 1> part;
  while (output.gather(part) != 0) {
    if (file != nullptr) {
      std::fprintf(file, "> %s\n", bastion::test::to_hex(part[0]).c_str());
    }
    if (send(fd, part[0].data(), part[0].size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(part[0].size())) {
      return false;
    }
    output.consume(part[0].size());
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 3 || (args[0] == "client" && args.size() < 4)) {
    return 2;
  }
  const bool server = args[0] == "server";
  ConversationSetup setup;
  bastion::test::set_field(setup, "role", args[0]);
  std::FILE* file = args[1] == "-" ? nullptr : std::fopen(args[1].c_str(), "w");
  if (file != nullptr) {
    std::fprintf(file, "role %s\n", args[0].c_str());
  }
  for (std::size_t i = server ? 3 : 4; i < args.size(); ++i) {
    const std::size_t equals = args[i].find('=');
    bastion::test::set_field(setup, args[i].substr(0, equals), args[i].substr(equals + 1));
    if (file != nullptr) {
      std::fprintf(file, "%s %s\n", args[i].substr(0, equals).c_str(),
                   args[i].substr(equals + 1).c_str());
    }
  }
  if (file != nullptr) {
    std::fprintf(file, "\n");
  }
  const int fd = connect_or_accept(server, server ? 0 : std::atoi(args[3].c_str()));
  if (fd < 0) {
    std::perror("record");
    return 1;
  }
  Conversation conversation(setup, bastion::test::conversation_key(args[2]));
  Bytes buffer(256 * 1024);
  while (flush(conversation, fd, file) && !conversation.finished() &&
         conversation.trouble().empty()) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) {
      break;
    }
    const ByteView bytes = ByteView(buffer).first(static_cast<std::size_t>(n));
    if (file != nullptr) {
      std::fprintf(file, "< %s\n", bastion::test::to_hex(bytes).c_str());
    }
    conversation.receive(bytes);
  }
  if (file != nullptr) {
    std::fclose(file);
  }
  const auto& transport = conversation.transport();
  const auto& names = transport.algorithms();
  std::fprintf(stderr, "%s: kex %s, cipher %s, %llu exchanges, %zu bytes echoed, strict %d: %s%s\n",
               std::string(transport.peer_ident()).c_str(),
               names.kex == nullptr ? "-" : std::string(names.kex->name).c_str(),
               names.kex == nullptr ? "-" : std::string(names.cipher_to_server->name).c_str(),
               static_cast<unsigned long long>(transport.num_exchanges()),
               conversation.bytes_echoed(), transport.strict_kex() ? 1 : 0,
               conversation.trouble().c_str(), conversation.finished() ? "finished" : "");
  return conversation.trouble().empty() && conversation.finished() ? 0 : 1;
}
