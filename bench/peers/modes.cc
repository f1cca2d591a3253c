#include "bench/peers/modes.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

namespace bastion::bench {
namespace {

void print(const nlohmann::json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

double seconds_between(MonoTime a, MonoTime b) {
  return static_cast<double>(b.ns - a.ns) / static_cast<double>(kNsPerSecond);
}

/// Input is the standard input: a line lets the program go on, its end ends it.
class Input final : public Loop::Watcher {
 public:
  explicit Input(Loop& loop) : loop_(loop) { loop.watch(STDIN_FILENO, *this); }
  void readable() override {
    char bytes[256];
    const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    lines += n > 0 ? std::count(bytes, bytes + n, '\n') : 0;
    ended = n <= 0;
    if (ended) {
      loop_.unwatch(STDIN_FILENO);
    }
  }
  std::ptrdiff_t lines = 0;
  bool ended = false;

 private:
  Loop& loop_;
};

/// Runner starts sessions and serves them.
class Runner : public SessionOwner {
 public:
  explicit Runner(const ClientSetup& setup) : setup_(setup) {}

 protected:
  Session& begin() {
    auto session = std::make_unique<Session>(setup_.identity, setup_.plan, *this, mono_now());
    Session& reference = *session;
    loop_.add(connect_to(setup_.plan.address), std::move(session));
    return reference;
  }
  void wait_for_line(Input& input) {
    for (const std::ptrdiff_t before = input.lines; input.lines == before && !input.ended;) {
      loop_.turn(-1);
    }
  }
  void wait_for_end(Input& input) {
    while (!input.ended) {
      loop_.turn(-1);
    }
  }

  const ClientSetup& setup_;
  Loop loop_;
};

class Logins final : public Runner {
 public:
  using Runner::Runner;
  void run(std::size_t concurrent) {
    const MonoTime start = mono_now();
    while (ms_.size() < setup_.count) {
      while (begun_ < setup_.count && begun_ - ms_.size() < concurrent) {
        begin();
        ++begun_;
      }
      loop_.turn(-1);
    }
    while (loop_.num_links() > 0) {
      loop_.turn(10);
    }
    std::ranges::sort(ms_);
    print({{"seconds", seconds_between(start, mono_now())}, {"ms", ms_}});
  }
  void opened(Session& session) override { session.target().exec("true"); }
  void data(Session& /*session*/, ByteView /*bytes*/) override {}
  void closed(Session& session) override {
    ms_.push_back(seconds_between(session.began, mono_now()) * 1000);
    session.finish();
  }

 private:
  std::size_t begun_ = 0;
  std::vector<double> ms_;
};

class Hold final : public Runner {
 public:
  using Runner::Runner;
  void run(std::size_t concurrent) {
    Input input(loop_);
    std::size_t begun = 0;
    while (ready_ < setup_.count) {
      while (begun < setup_.count && begun - ready_ < concurrent) {
        begin();
        ++begun;
      }
      loop_.turn(-1);
    }
    print({{"ready", ready_}});
    wait_for_end(input);
  }
  void opened(Session& session) override { session.target().exec("hold"); }
  void started(Session& /*session*/) override { ++ready_; }
  void data(Session& /*session*/, ByteView /*bytes*/) override {}
  void closed(Session& /*session*/) override { die("a session ended"); }

 private:
  std::size_t ready_ = 0;
};

class Keys final : public Runner {
 public:
  using Runner::Runner;
  void run(int interval_ms) {
    Input input(loop_);
    Session& session = begin();
    while (!started_) {
      loop_.turn(-1);
    }
    print({{"ready", 1}});
    wait_for_line(input);
    for (std::size_t i = 0; i < setup_.count; ++i) {
      const MonoTime sent = mono_now();
      echoed_ = false;
      session.target().send_data(as_bytes("k"));
      loop_.touch(session);
      while (!echoed_) {
        loop_.turn(-1);
      }
      us_.push_back(seconds_between(sent, echo_) * 1e6);
      pause(after(sent, interval_ms * kNsPerMs));
    }
    std::ranges::sort(us_);
    print({{"us", us_}});
    wait_for_end(input);
  }
  void opened(Session& session) override { session.target().shell(); }
  void started(Session& /*session*/) override { started_ = true; }
  void data(Session& /*session*/, ByteView bytes) override {
    echo_ = mono_now();
    echoed_ = !bytes.empty();
  }
  void closed(Session& /*session*/) override { die("the session ended"); }

 private:
  void pause(MonoTime until) {
    for (std::int64_t left = 1; left > 0;) {
      left = (until.ns - mono_now().ns + kNsPerMs - 1) / kNsPerMs;
      loop_.turn(static_cast<int>(std::max<std::int64_t>(left, 0)));
    }
  }

  bool started_ = false;
  bool echoed_ = false;
  MonoTime echo_;
  std::vector<double> us_;
};

class Streams final : public Runner {
 public:
  using Runner::Runner;
  void run(std::uint64_t bytes, bool up) {
    constexpr std::size_t kLoginsAtOnce = 8;
    bytes_ = bytes;
    up_ = up;
    Input input(loop_);
    while (sessions_.size() < setup_.count) {
      for (; begun_ < setup_.count && begun_ - sessions_.size() < kLoginsAtOnce; ++begun_) {
        begin();
      }
      loop_.turn(-1);
    }
    print({{"ready", sessions_.size()}});
    wait_for_line(input);
    const MonoTime start = mono_now();
    for (Session* session : sessions_) {
      session->bytes_left = bytes;
      session->target().exec((up ? "sink " : "source ") + std::to_string(bytes));
      loop_.touch(*session);
    }
    while (ended_ < setup_.count) {
      loop_.turn(-1);
    }
    print({{"seconds", seconds_between(start, mono_now())}, {"bytes", received_}});
    wait_for_end(input);
  }
  void opened(Session& session) override { sessions_.push_back(&session); }
  void started(Session& session) override { writable(session); }
  void data(Session& /*session*/, ByteView bytes) override { received_ += bytes.size(); }
  void writable(Session& session) override {
    static const Bytes kPiece(32 * 1024, 'x');
    constexpr std::size_t kQueueBytesMax = 512 * 1024;
    SshClient& target = session.target();
    while (up_ && session.bytes_left > 0 && target.room() > 0 &&
           target.output().bytes() < kQueueBytesMax) {
      const std::size_t n = std::min(
          {session.bytes_left, std::uint64_t{kPiece.size()}, std::uint64_t{target.room()}});
      target.send_data(ByteView(kPiece).first(n));
      session.bytes_left -= n;
      received_ += n;
    }
  }
  void closed(Session& session) override {
    ++ended_;
    session.finish();
  }

 private:
  std::vector<Session*> sessions_;
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t received_ = 0;
  bool up_ = false;
};

}  // namespace

void run_logins(const ClientSetup& setup, std::size_t concurrent) { Logins(setup).run(concurrent); }
void run_hold(const ClientSetup& setup, std::size_t concurrent) { Hold(setup).run(concurrent); }
void run_keys(const ClientSetup& setup, int interval_ms) { Keys(setup).run(interval_ms); }
void run_streams(const ClientSetup& setup, std::uint64_t bytes, bool up) {
  Streams(setup).run(bytes, up);
}

}  // namespace bastion::bench
