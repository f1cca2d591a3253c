#include <gtest/gtest.h>

#include "daemon/worker/recording.h"

namespace bastion::daemon {
namespace {

constexpr std::uint32_t kSlot = 3;
constexpr std::uint64_t kPlenty = std::uint64_t{1} << 20;

struct Recorded {
  UniqueFd memory = *record::make_memory();
  record::Producer ring{*record::Mapping::map(memory.get())};
  record::Consumer recorder{*record::Mapping::map(memory.get())};
  SessionRecording recording{ring, kSlot, 1, proto::RecordPlan{}, ""};
};

TEST(SessionRecording, HasRoomAsFarAsCreditGoes) {
  Recorded recorded;
  EXPECT_FALSE(recorded.recording.has_room()) << "nothing is granted yet";
  recorded.recorder.grant(kSlot, kPlenty);
  recorded.recording.look_again();
  EXPECT_TRUE(recorded.recording.has_room());
}

// A worker asks for each leg, and then whether the session is to be woken: credit that comes
// between these questions must not leave a leg unread with nobody to wake it.
TEST(SessionRecording, CreditThatComesWithinATurnCountsFromTheNextLook) {
  Recorded recorded;
  EXPECT_FALSE(recorded.recording.has_room());
  recorded.recorder.grant(kSlot, kPlenty);
  EXPECT_FALSE(recorded.recording.has_room());
  EXPECT_FALSE(recorded.recording.has_room());
  recorded.recording.look_again();
  EXPECT_TRUE(recorded.recording.has_room());
}

}  // namespace
}  // namespace bastion::daemon
