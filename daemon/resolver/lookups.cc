#include "daemon/resolver/lookups.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "daemon/ipc/resolver_messages.h"
#include "daemon/ring/ring.h"

namespace bastion::daemon {
namespace {

ipc::Resolved failed(std::string text) {
  ipc::Resolved resolved;
  resolved.error = std::move(text);
  return resolved;
}

}  // namespace

bool is_host_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 253 && name.front() != '-' && name.front() != '.' &&
         std::ranges::all_of(name, allowed);
}

ipc::Resolved look_up(const ipc::Resolve& question) {
  // The options are the thread's own. res_init reads resolv.conf again where it has changed, which
  // the library itself does not do once an option was set by hand.
  if (res_init() != 0) {
    return failed("resolv.conf cannot be read");
  }
  if (question.whole) {
    _res.options &= ~static_cast<decltype(_res.options)>(RES_DEFNAMES | RES_DNSRCH);
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(question.name.c_str(), nullptr, &hints, &list); error != 0) {
    return failed(gai_strerror(error));
  }
  ipc::Resolved resolved;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    Bytes octets;
    if (entry->ai_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
      const auto* raw = reinterpret_cast<const std::uint8_t*>(&address->sin_addr);
      octets.assign(raw, raw + 4);
    } else if (entry->ai_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ai_addr);
      const auto* raw = reinterpret_cast<const std::uint8_t*>(&address->sin6_addr);
      octets.assign(raw, raw + 16);
    }
    const bool known = std::ranges::find(resolved.addresses, octets) != resolved.addresses.end();
    if (!octets.empty() && !known && resolved.addresses.size() < Lookups::kAddressesMax) {
      resolved.addresses.push_back(std::move(octets));
    }
  }
  freeaddrinfo(list);
  if (resolved.addresses.empty()) {
    resolved.error = "the name has no address";
  }
  return resolved;
}

Lookups::Lookups(std::size_t num_threads, Function function)
    : function_(std::move(function)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (std::size_t i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { work(); });
  }
}

Lookups::~Lookups() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void Lookups::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) {
      return;
    }
    const Work item = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    ipc::Resolved resolved = function_(item.question);
    lock.lock();
    finished_.push_back({item.number, std::move(resolved)});
    eventfd_write(wake_.get(), 1);
  }
}

void Lookups::ask(std::uint32_t request, ipc::Resolve question, MonoTime now) {
  const bool valid = is_host_name(question.name);
  if (!valid || pending_.size() >= kWaitingMax) {
    Answer answer{request, failed(valid ? "too many lookups at once" : "not a host name")};
    answer.resolved.name = std::move(question.name);
    refused_.push_back(std::move(answer));
    eventfd_write(wake_.get(), 1);
    return;
  }
  const std::uint64_t number = next_number_++;
  pending_.push_back({number, request, question.name, after(now, kDeadlineMs * kNsPerMs)});
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back({number, std::move(question)});
  }
  ready_.notify_one();
}

std::vector<Lookups::Answer> Lookups::take(MonoTime now) {
  eventfd_t ignored = 0;
  eventfd_read(wake_.get(), &ignored);
  std::vector<Answer> answers = std::exchange(refused_, {});
  std::deque<Finished> finished;
  {
    const std::scoped_lock lock(mutex_);
    finished.swap(finished_);
  }
  for (Finished& entry : finished) {
    const auto at = std::ranges::find(pending_, entry.number, &Pending::number);
    if (at != pending_.end()) {
      entry.resolved.name = std::move(at->name);
      answers.push_back({at->request, std::move(entry.resolved)});
      pending_.erase(at);
    }
  }
  while (!pending_.empty() && pending_.front().deadline <= now) {
    Answer& answer =
        answers.emplace_back(pending_.front().request, failed("no answer from the name servers"));
    answer.resolved.name = std::move(pending_.front().name);
    // Not begun yet: nobody waits for it any more.
    const std::scoped_lock lock(mutex_);
    std::erase_if(waiting_, [&](const Work& w) { return w.number == pending_.front().number; });
    pending_.pop_front();
  }
  return answers;
}

MonoTime Lookups::next_deadline() const {
  return pending_.empty() ? kNever : pending_.front().deadline;
}

}  // namespace bastion::daemon
