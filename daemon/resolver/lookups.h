#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "daemon/ipc/resolver_messages.h"
#include "daemon/unique_fd.h"

namespace bastion::daemon {

/// Lookups runs name lookups, which block, on a few threads and gives the answers in any order. A
/// lookup that has taken longer than its deadline is answered with an error at once; its thread is
/// free again when the system's own time-out has passed, and what it brings then is thrown away.
class Lookups {
 public:
  static constexpr std::size_t kWaitingMax = 1024;
  static constexpr std::int64_t kDeadlineMs = 10'000;
  static constexpr std::size_t kAddressesMax = 16;

  struct Answer {
    std::uint32_t request = 0;
    ipc::Resolved resolved;
  };
  /// Function looks a name up and blocks: getaddrinfo, or a test's own.
  using Function = std::function<ipc::Resolved(const ipc::Resolve&)>;

  Lookups(std::size_t num_threads, Function function);
  ~Lookups();
  Lookups(const Lookups&) = delete;
  Lookups& operator=(const Lookups&) = delete;

  /// ask queues a lookup. A name that is no host name, or one too many, is answered with an error.
  void ask(std::uint32_t request, ipc::Resolve question, MonoTime now);
  /// wake_fd becomes readable when there are answers.
  int wake_fd() const { return wake_.get(); }
  /// take gives what is answered by now, overdue lookups included. Each answer echoes its name.
  std::vector<Answer> take(MonoTime now);
  /// next_deadline is when the next lookup is overdue; kNever where none is under way.
  MonoTime next_deadline() const;

 private:
  struct Pending {
    std::uint64_t number = 0;
    std::uint32_t request = 0;
    std::string name;
    MonoTime deadline;
  };
  struct Work {
    std::uint64_t number = 0;
    ipc::Resolve question;
  };
  struct Finished {
    std::uint64_t number = 0;
    ipc::Resolved resolved;
  };
  void work();

  Function function_;
  UniqueFd wake_;
  std::uint64_t next_number_ = 1;
  std::deque<Pending> pending_;  // the owner's thread only; in the order of their deadlines
  std::vector<Answer> refused_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Work> waiting_;
  std::deque<Finished> finished_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// look_up asks the system (getaddrinfo): addresses in the order to try. A `whole` name is asked of
/// the DNS as it stands, whatever resolv.conf says of domains to search and of ndots.
ipc::Resolved look_up(const ipc::Resolve& question);

/// is_host_name: 1 to 253 octets of letters, digits, '.', '-' and '_', not beginning with '-' or
/// '.'.
bool is_host_name(std::string_view name);

}  // namespace bastion::daemon
