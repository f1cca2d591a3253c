#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "daemon/ring/ring.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon {

/// The control socket: bastionctl writes one line, a JSON object, and reads one line, a JSON
/// object.

enum class Access : std::uint8_t { kNone, kViewer, kAdmin };

/// ControlGroups are the gids that may use the socket beside root and our own uid.
struct ControlGroups {
  std::optional<gid_t> admin;
  std::optional<gid_t> viewer;
};

struct PeerCredentials {
  uid_t uid = 0;
  std::vector<gid_t> gids;  // primary and supplementary
};

/// access_of decides what the process at the other end may do: root, our uid and the admin group
/// everything, the viewer group reading, others nothing.
Access access_of(const PeerCredentials& peer, uid_t own_uid, const ControlGroups& groups);

/// bind_control_socket makes the socket at `path`: mode 0660 and of the admin group, or 0666 where
/// there is a viewer group too (a file has one group; whoever connects is checked by credentials).
/// A socket that a dead daemon left is replaced; a live one's is not. The error is one line.
std::expected<UniqueFd, std::string> bind_control_socket(const std::string& path,
                                                         const ControlGroups& groups);

/// ControlServer reads requests and writes replies, a bounded number at once, each client with a
/// deadline; nothing that a client does makes it wait. Its operations use two token kinds.
class ControlServer {
 public:
  static constexpr std::size_t kClientsMax = 32;
  static constexpr std::size_t kRequestBytesMax = 16 * 1024;
  static constexpr std::int64_t kDeadlineMs = 30'000;

  struct Request {
    std::uint64_t client = 0;  // for reply; never 0
    bool admin = false;
    std::string by;  // "uid 1000"
    std::string json;
  };
  using Handler = std::function<void(Request)>;

  ControlServer(Ring& ring, UniqueFd listener, ControlGroups groups, std::uint8_t accept_kind,
                std::uint8_t client_kind, Handler handler);

  /// on_completion takes the completions of its two kinds.
  void on_completion(const Completion& completion, MonoTime now);
  /// reply answers a client, once; one that is gone swallows it.
  void reply(std::uint64_t client, std::string json);
  void on_time(MonoTime now);
  MonoTime next_deadline() const;
  /// stop accepts nobody any more; replies that are under way are still written.
  void stop();

 private:
  struct Client {
    UniqueFd fd;
    std::uint32_t generation = 1;
    Access access = Access::kNone;
    std::string by;
    std::string in;
    std::string out;
    bool asked = false;
    MonoTime deadline;
  };
  void on_accept(const Completion& completion, MonoTime now);
  void read(std::uint32_t slot);
  void write(std::uint32_t slot);
  void drop(std::uint32_t slot);

  Ring& ring_;
  UniqueFd listener_;
  ControlGroups groups_;
  std::uint8_t accept_kind_;
  std::uint8_t client_kind_;
  Handler handler_;
  std::vector<Client> clients_;
  MonoTime accept_again_{kNever};  // after descriptors ran out
};

/// control_error is the reply that says no.
std::string control_error(std::string_view text);

}  // namespace bastion::daemon
