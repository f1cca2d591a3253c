#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"
#include "daemon/indexer/update.h"
#include "daemon/unique_fd.h"

namespace bastion::ctl {

int recordings_index(const RecordingsOptions& options) {
  const auto recordings = Recordings::open(options);
  if (!recordings) {
    return complain(recordings.error(), 3);
  }
  // The index tells what stood on screens: it is for those who may read recordings.
  (void)umask(0077);
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(recordings->index_path()).parent_path(),
                                      error);
  auto index = index::Index::open(recordings->index_path(), index::Index::Mode::kWrite);
  if (!index) {
    return complain(index.error(), 3);
  }
  if (options.rebuild) {
    if (const auto cleared = index->clear(); !cleared) {
      return complain(cleared.error(), 3);
    }
  }
  index::Updater updater(recordings->files(), *index, recordings->identities());
  const auto counts = updater.update();
  const auto total = counts ? index->count() : std::unexpected(counts.error());
  if (!total) {
    return complain(total.error(), 3);
  }
  if (*options.json) {
    std::puts(nlohmann::json({{"recordings", *total},
                              {"read", counts->read},
                              {"removed", counts->removed},
                              {"unreadable", counts->unreadable}})
                  .dump(2)
                  .c_str());
  } else {
    std::printf("%s recordings in the index; %s read now, %s removed, %s could not be read\n",
                grouped(*total).c_str(), grouped(counts->read).c_str(),
                grouped(counts->removed).c_str(), grouped(counts->unreadable).c_str());
  }
  return counts->unreadable == 0 ? 0 : 1;
}

int recordings_keygen(const RecordingsOptions& options) {
  const recording::Identity identity = recording::Identity::generate();
  const daemon::UniqueFd fd(
      open(options.output.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const SecretBytes text = identity.file();
  if (!fd || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      fsync(fd.get()) != 0) {
    return complain("cannot make " + options.output + ": " + std::strerror(errno), 1);
  }
  const std::string line = identity.recipient().line();
  if (*options.json) {
    std::puts(nlohmann::json({{"recipient", line}}).dump(2).c_str());
  } else {
    std::puts(line.c_str());
    std::fprintf(
        stderr,
        "That is for `recording: recipients:`. Keep %s off the bastion: without it nobody reads\n"
        "the recordings that are encrypted to it.\n",
        options.output.c_str());
  }
  return 0;
}

}  // namespace bastion::ctl
