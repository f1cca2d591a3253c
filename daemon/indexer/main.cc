// bastiond-indexer: keeps the index of recordings like the files, at the lowest priority. It reads
// recordings and writes the index; nothing else, and no network. Run by bastiond-indexer.service.
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/version.h"
#include "daemon/indexer/update.h"

namespace bastion::index {
namespace {

/// lower puts this process behind all others, for processor and disk.
void lower() {
  (void)setpriority(PRIO_PROCESS, 0, 19);
  constexpr int kIoprioWhoProcess = 1;
  constexpr int kIdleClass = 3 << 13;
  (void)syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, kIdleClass);
}

/// wait sleeps until something may have changed, or `seconds` are over; false: told to end.
bool wait(int signals, int changes, int seconds) {
  pollfd fds[2] = {{signals, POLLIN, 0}, {changes, POLLIN, 0}};
  (void)poll(fds, 2, seconds * 1000);
  char events[4096];
  while (changes >= 0 && read(changes, events, sizeof events) > 0) {
  }
  return (fds[0].revents & POLLIN) == 0;
}

int run(const std::string& dir, const std::string& index_path, bool once, int seconds) {
  lower();
  (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const daemon::UniqueFd signals(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  const auto files = Files::open(dir);
  if (!files) {
    std::fprintf(stderr, "bastiond-indexer: %s\n", files.error().c_str());
    return 1;
  }
  auto index = Index::open(index_path, Index::Mode::kWrite);
  if (!index) {
    std::fprintf(stderr, "bastiond-indexer: %s\n", index.error().c_str());
    return 1;
  }
  // New days are seen at once; what grows in them, at each round.
  const daemon::UniqueFd changes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  (void)inotify_add_watch(changes.get(), dir.c_str(), IN_CREATE | IN_DELETE | IN_MOVED_TO);
  Updater updater(*files, *index, {});
  do {
    const auto counts = updater.update();
    if (!counts) {
      std::fprintf(stderr, "bastiond-indexer: %s\n", counts.error().c_str());
      return 1;
    }
    if (counts->read + counts->removed + counts->unreadable > 0) {
      std::fprintf(stderr, "bastiond-indexer: read %llu, removed %llu, could not read %llu\n",
                   static_cast<unsigned long long>(counts->read),
                   static_cast<unsigned long long>(counts->removed),
                   static_cast<unsigned long long>(counts->unreadable));
    }
  } while (!once && wait(signals.get(), changes.get(), seconds));
  return 0;
}

}  // namespace
}  // namespace bastion::index

int main(int argc, char** argv) {
  std::string dir = "/var/lib/bastiond/recordings";
  std::string index = "/var/lib/bastiond/index/recordings.sqlite";
  bool once = false;
  int seconds = 5;
  CLI::App app{"bastiond-indexer: keeps the index of recordings"};
  app.footer("Example: bastiond-indexer --dir /var/lib/bastiond/recordings --once");
  app.set_version_flag("--version", "bastiond-indexer " + std::string(bastion::kVersion) + " (" +
                                        std::string(bastion::kRevision) + ")");
  app.add_option("--dir", dir, "The recordings' folder")->capture_default_str();
  app.add_option("--index", index, "The index's file")->capture_default_str();
  app.add_flag("--once", once, "Bring it up to date and end");
  app.add_option("--every", seconds, "Seconds between two rounds")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return bastion::index::run(dir, index, once, seconds);
}
