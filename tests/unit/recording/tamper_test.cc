// Whatever is changed in a signed recording, verification says so: bits, octets and blocks,
// dropped, doubled, moved, put in, cut off, and whole files exchanged. 2,000 changes of each kind
// in a short run, 10,000 with BASTION_LONG=1.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/test_random.h"
#include "tests/unit/recording/recording_support.h"

namespace bastion::recording {
namespace {

int num_changes() {
  const char* configured = std::getenv("BASTION_LONG");
  return configured != nullptr && std::string_view(configured) == "1" ? 10'000 : 2'000;
}

class Tamper : public testing::Test {
 protected:
  Tamper() {
    for (std::size_t i = 0; i < 4; ++i) {
      std::string session = test::kSession;
      session.back() = static_cast<char>('0' + i);
      sessions_.push_back(session);
      const bool encrypted = i % 2 == 1;
      files_.push_back(test::make(
          test::a_shell(1'700'000'000'000'000 + i * 1'000'000), 1 + i,
          encrypted ? std::span(&recipient_, 1) : std::span<const Recipient>(), session));
    }
  }

  /// pick gives a file to change, and which it is.
  std::size_t pick() { return random_.below(files_.size()); }

  void expect_found(const Bytes& changed, std::size_t which, int i) {
    ASSERT_NE(changed, files_[which].file);
    const VerifyResult result = test::verify(changed, sessions_[which]);
    ASSERT_NE(result.verdict, Verdict::kProven) << "change " << i;
    ASSERT_TRUE(result.problem) << "change " << i;
  }

  Bytes block(std::size_t which, std::size_t i) const {
    const test::Made& made = files_[which];
    const std::size_t begin = i == 0 ? 0 : made.ends[i - 1];
    return {made.file.begin() + static_cast<std::ptrdiff_t>(begin),
            made.file.begin() + static_cast<std::ptrdiff_t>(made.ends[i])};
  }
  std::vector<Bytes> blocks(std::size_t which) const {
    std::vector<Bytes> all;
    for (std::size_t i = 0; i < files_[which].ends.size(); ++i) {
      all.push_back(block(which, i));
    }
    return all;
  }
  static Bytes joined(const std::vector<Bytes>& parts) {
    Bytes file;
    for (const Bytes& part : parts) {
      file.insert(file.end(), part.begin(), part.end());
    }
    return file;
  }

  bastion::test::TestRandom random_{11};
  Recipient recipient_ = Identity::generate().recipient();
  std::vector<std::string> sessions_;
  std::vector<test::Made> files_;
};

TEST_F(Tamper, NothingIsFoundInWhatIsUnchanged) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    EXPECT_EQ(test::verify(files_[i].file, sessions_[i]).verdict, Verdict::kProven);
  }
}

TEST_F(Tamper, FlippedBits) {
  for (int i = 0; i < num_changes(); ++i) {
    const std::size_t which = pick();
    Bytes file = files_[which].file;
    file[random_.below(file.size())] ^= static_cast<std::uint8_t>(1U << random_.below(8));
    expect_found(file, which, i);
  }
}

TEST_F(Tamper, EveryBitOfASmallFile) {
  const Bytes& file = files_[3].file;
  for (std::size_t at = 0; at < file.size(); ++at) {
    Bytes changed = file;
    changed[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    expect_found(changed, 3, static_cast<int>(at));
  }
}

TEST_F(Tamper, DroppedAndInsertedOctets) {
  for (int i = 0; i < num_changes(); ++i) {
    const std::size_t which = pick();
    Bytes file = files_[which].file;
    const auto at = static_cast<std::ptrdiff_t>(random_.below(file.size()));
    const auto n = static_cast<std::ptrdiff_t>(
        std::min<std::size_t>(1 + random_.below(200), file.size() - static_cast<std::size_t>(at)));
    if (i % 2 == 0) {
      file.erase(file.begin() + at, file.begin() + at + n);
    } else {
      Bytes more(static_cast<std::size_t>(n));
      random_.fill(more);
      file.insert(file.begin() + at, more.begin(), more.end());
    }
    expect_found(file, which, i);
  }
}

TEST_F(Tamper, CutOffTails) {
  for (int i = 0; i < num_changes(); ++i) {
    const std::size_t which = pick();
    Bytes file = files_[which].file;
    file.resize(i % 2 == 0 ? random_.below(file.size())
                           : files_[which].ends[random_.below(files_[which].ends.size() - 1)]);
    expect_found(file, which, i);
  }
}

TEST_F(Tamper, DroppedDoubledAndSwappedBlocks) {
  for (int i = 0; i < num_changes(); ++i) {
    const std::size_t which = pick();
    std::vector<Bytes> parts = blocks(which);
    const std::size_t a = random_.below(parts.size());
    const std::size_t b = (a + 1 + random_.below(parts.size() - 1)) % parts.size();
    switch (i % 3) {
      case 0: parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(a)); break;
      case 1: parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(b), parts[a]); break;
      default: std::swap(parts[a], parts[b]); break;
    }
    expect_found(joined(parts), which, i);
  }
}

TEST_F(Tamper, BlocksOfOtherFiles) {
  for (int i = 0; i < num_changes(); ++i) {
    const std::size_t which = pick();
    const std::size_t other = (which + 1 + random_.below(files_.size() - 1)) % files_.size();
    std::vector<Bytes> parts = blocks(which);
    const std::vector<Bytes> others = blocks(other);
    const std::size_t from = random_.below(others.size());
    if (i % 2 == 0) {
      parts[random_.below(parts.size())] = others[from];
    } else {
      // All of another file's tail from the same place on, its signature included.
      parts.resize(std::min(parts.size(), 1 + random_.below(parts.size())));
      parts.insert(parts.end(), others.begin() + static_cast<std::ptrdiff_t>(from), others.end());
    }
    expect_found(joined(parts), which, i);
  }
}

TEST_F(Tamper, ExchangedFiles) {
  for (std::size_t a = 0; a < files_.size(); ++a) {
    for (std::size_t b = 0; b < files_.size(); ++b) {
      if (a != b) {
        expect_found(files_[b].file, a, static_cast<int>(a * 10 + b));
      }
    }
  }
}

}  // namespace
}  // namespace bastion::recording
