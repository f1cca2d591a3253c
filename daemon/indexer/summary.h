#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>

#include "daemon/indexer/files.h"
#include "daemon/indexer/index.h"
#include "daemon/recording/reader.h"
#include "daemon/screen/screen.h"

namespace bastion::index {

/// Summary is what the index takes of one recording.
struct Summary {
  Row row;
  Content content;
};

/// summarise reads the whole file. With no identity for it an encrypted file gives its metadata
/// alone. A damaged one gives what is before the damage, with the state "damaged", and metadata
/// only of its name where not even the header can be read. Errors: the file cannot be read.
std::expected<Summary, std::string> summarise(const Files& files, const File& file,
                                              recording::Decompressor& decompressor,
                                              std::span<const recording::Identity> identities);

/// Text kept of one recording's screens. What is beyond it, or beyond the work that a recording may
/// make (screen::Screen::Budget), is not found by a search: Row::what says so.
inline constexpr std::size_t kScreenTextMax = 1024 * 1024;
inline constexpr std::size_t kOtherTextMax = 256 * 1024;

}  // namespace bastion::index
