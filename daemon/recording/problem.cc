#include "daemon/recording/problem.h"

#include <array>

namespace bastion::recording {
namespace {

struct Text {
  std::string_view name;
  std::string_view sentence;
};

/// In ProblemKind's order.
constexpr std::array kTexts = {
    Text{"not-a-recording", "this is not a recording"},
    Text{"version", "its format is newer than this program reads"},
    Text{"header", "its fixed part is damaged"},
    Text{"too-long", "it claims to be longer than any block may be"},
    Text{"order", "a block of its type may not stand here"},
    Text{"sequence", "its number is not the next one: blocks are missing, doubled or moved"},
    Text{"chain", "it does not follow from the block before it"},
    Text{"hash", "its content is not what its hash says"},
    Text{"trailing", "there are bytes behind the signature"},
    Text{"cut", "the file ends in the middle of it"},
    Text{"unsealed", "the file has no end: still being recorded, or its tail is missing"},
    Text{"unsigned", "the recording is sealed but not signed"},
    Text{"signature", "the signature is wrong"},
    Text{"signed-by-other", "it is signed by a key that is not among those given"},
    Text{"other-session", "the recording is of another session than its file name says"},
    Text{"metadata", "its JSON is not what the format says"},
    Text{"no-identity", "it is encrypted: --identity FILE is needed"},
    Text{"other-identity", "it is encrypted, and to none of the identities given"},
    Text{"decrypt", "decryption fails, though its hash is right"},
    Text{"decompress", "decompression fails, though its hash is right"},
    Text{"entry", "an entry in it is not what the format says"},
    Text{"other-block", "it is not the block that the audit log tells of"},
    Text{"behind-log", "the file ends here, before a block that the audit log tells of"},
};
static_assert(kTexts.size() == static_cast<std::size_t>(ProblemKind::kBehindLog) + 1);

const Text& text_of(ProblemKind kind) { return kTexts[static_cast<std::size_t>(kind)]; }

}  // namespace

std::string_view problem_name(ProblemKind kind) { return text_of(kind).name; }

std::string describe(const Problem& problem) {
  return "block " + std::to_string(problem.seq) + " at byte " + std::to_string(problem.offset) +
         ": " + std::string(text_of(problem.kind).sentence);
}

}  // namespace bastion::recording
